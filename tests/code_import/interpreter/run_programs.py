"""Comparison of networks that are read from random programs with those that the programs build when they are run.

``python -m tests.code_import.interpreter.run_programs 5000`` compares the first 5,000 programs.
"""

import multiprocessing
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.code_import.interpreter.program_generator import generate_program

_WORKERS = 2


@dataclass(frozen=True)
class Comparison:
    """Result of one program: ``same``, ``refused``, ``not run``, ``not buildable`` or ``different``, and details."""

    seed: int
    outcome: str
    detail: str = ""


def compare_programs(seeds: Iterable[int], *, workers: int = _WORKERS) -> Iterator[Comparison]:
    """Compare programs in long-lived worker processes."""
    with multiprocessing.get_context("spawn").Pool(workers, _start_worker) as pool:
        yield from pool.imap_unordered(compare_program, seeds, chunksize=4)


def _start_worker() -> None:
    warnings.simplefilter("ignore")
    os.environ["KERAS_BACKEND"] = "torch"
    import torch

    torch.set_num_threads(1)


def compare_program(seed: int) -> Comparison:
    """Read a program and run it; compare layers, parameters, dropout, frozen layers and outputs."""
    import torch

    from playground.code_import.read_code import parse_code
    from playground.core.architecture import InputShape
    from playground.core.validation import validate
    from playground.engine.model.build import build_model
    from playground.errors import PlaygroundError

    text = generate_program(seed)
    size = 8 if "import keras" in text else 12
    try:
        parsed = parse_code(text, input_shape=InputShape(channels=1, height=size, width=size))
    except PlaygroundError as error:
        parsed, reason = None, str(error)
    namespace: dict[str, Any] = {"__name__": "pasted"}
    torch.manual_seed(seed)
    images = torch.rand(3, 1, size, size)
    try:
        exec(compile(text, "pasted", "exec"), namespace)
        network = namespace["net"]
        expected = _run_keras(network, images) if "import keras" in text else _run_torch(network, images)
    except Exception as error:
        return Comparison(seed, "not run", f"{type(error).__name__}: {error}"[:200])
    if parsed is None:
        return Comparison(seed, "refused", reason[:300])
    if validate(parsed.architecture):
        return Comparison(seed, "not buildable", str(validate(parsed.architecture)[0])[:300])
    found = build_model(parsed.architecture)
    difference = expected.find_difference(found, images)
    return Comparison(seed, "different" if difference else "same", difference)


@dataclass(frozen=True)
class _Run:
    """Record of a network that was run: weights of its layers in order, frozen layers, dropout and outputs."""

    weights: list[dict[str, Any]]
    frozen: list[bool]
    dropout: list[float]
    outputs: Any
    is_keras: bool = False

    def find_difference(self, found: Any, images: Any) -> str:
        """Give the network that was read these weights and compare; return the first difference."""
        import torch

        layers, dropout = _trace_torch(found, images)
        if [sorted(_sizes(weights)) for weights in self.weights] != [
            sorted(_sizes(_get_weights(layer))) for layer in layers
        ]:
            return f"layers {list(map(_sizes, self.weights))}, not {[_sizes(_get_weights(one)) for one in layers]}"
        if dropout != self.dropout:
            return f"dropout {self.dropout} but read {dropout}"
        frozen = [not next(layer.parameters()).requires_grad for layer in layers]
        if frozen != self.frozen:
            return f"frozen {self.frozen} but read {frozen}"
        for layer, weights in zip(layers, self.weights, strict=True):
            for name, value in weights.items():
                getattr(layer, name).data.copy_(value)
        found.eval()
        with torch.no_grad():
            outputs = images
            for module in found:
                if self.is_keras and isinstance(module, torch.nn.Flatten) and outputs.dim() == 4:
                    outputs = outputs.permute(0, 2, 3, 1)
                outputs = module(outputs)
        candidates = (outputs, outputs.softmax(1), outputs.log_softmax(1))
        if not any(
            one.shape == self.outputs.shape and torch.allclose(one, self.outputs, atol=1e-4, rtol=1e-3)
            for one in candidates
        ):
            return f"outputs {self.outputs[0].tolist()[:4]} but read {outputs[0].tolist()[:4]}"
        return ""


def _sizes(weights: dict[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(value.shape)) for name, value in weights.items()]


def _get_weights(layer: Any) -> dict[str, Any]:
    return {name: value for name, value in layer.state_dict().items() if "num_batches" not in name}


def _trace_torch(network: Any, images: Any) -> tuple[list[Any], list[float]]:
    """Return the layers with weights in the order of their use, and the active dropout while training."""
    import torch
    import torch.nn.functional as functional

    layers: list[Any] = []
    rates: list[float] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: layers.append(module))
        for module in network.modules()
        if list(module.parameters(recurse=False))
    ]

    def record(tensor: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        rates.extend([p] * training)
        return tensor

    try:
        with patch.object(functional, "dropout", record), torch.no_grad():
            network.train()(images)
            count = len(layers)
            network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    if layers[:count] != layers[count:]:
        raise ValueError("training and evaluation differ")
    return layers[:count], rates


def _run_torch(network: Any, images: Any) -> _Run:
    import torch

    with torch.no_grad():
        network.eval()(images)
    layers, rates = _trace_torch(network, images)
    for layer in layers:
        for name, value in _get_weights(layer).items():
            getattr(layer, name).data = torch.rand_like(value) + (0.5 if "running" in name else -0.5)
    frozen = [not next(layer.parameters()).requires_grad for layer in layers]
    with torch.no_grad():
        outputs = network.eval()(images)
    return _Run([_get_weights(layer) for layer in layers], frozen, rates, outputs)


def _run_keras(network: Any, images: Any) -> _Run:
    import keras
    import numpy as np
    import torch

    names = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    order: list[Any] = []
    rates: list[float] = []
    for layer in network.layers:
        original = layer.call

        def record(*arguments: Any, _layer: Any = layer, _original: Any = original, **named: Any) -> Any:
            order.append(_layer)
            return _original(*arguments, **named)

        layer.call = record
    inputs = images.permute(0, 2, 3, 1)
    network(inputs, training=False)
    layers = [layer for layer in order if any("seed" not in weight.path for weight in layer.weights)]
    rates = [layer.rate for layer in order if isinstance(layer, keras.layers.Dropout)]
    every: list[dict[str, Any]] = []
    for layer in layers:
        weights = {}
        for weight in layer.weights:
            name = weight.path.split("/")[-1]
            value = np.random.default_rng(len(every)).random(weight.shape).astype("float32") - (
                0.0 if "moving" in name else 0.5
            )
            weight.assign(value)
            tensor = torch.tensor(value)
            if name == "kernel":
                tensor = tensor.permute(3, 2, 0, 1) if tensor.dim() == 4 else tensor.T
            weights[names.get(name, name)] = tensor
        every.append(weights)
    outputs = torch.as_tensor(keras.ops.convert_to_numpy(network(inputs, training=False)))
    return _Run(every, [not layer.trainable for layer in layers], rates, outputs, is_keras=True)


def main(count: int, start: int = 0) -> None:
    """Compare programs and print the figures, and every program that is read differently."""
    outcomes: Counter[str] = Counter()
    for result in compare_programs(range(start, start + count)):
        outcomes[result.outcome] += 1
        if result.outcome != "same":
            print(f"{result.outcome} {result.seed}: {result.detail}", flush=True)
    print(dict(outcomes))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
