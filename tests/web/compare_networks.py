"""Comparison of the browser engine with PyTorch: ``python -m tests.web.compare_networks`` prints the largest errors.

The long form trains every preset for a few steps, and draws 300 networks.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings

from playground.core.architecture import Architecture
from playground.core.events import EpochDone
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.recipe import Recipe
from playground.engine.model.build import build_model
from playground.engine.rng import make_generator
from playground.engine.training.trainer import Trainer
from playground.interpret.browser_network import encode_model
from playground.interpret.model import Model
from playground.web.network_file import WeightType
from tests.strategies import architectures
from tests.web.engine_runner import Array, measure_largest_error, run_networks

TOLERANCE = 1e-4


def draw_architectures(count: int) -> list[Architecture]:
    """Draw valid architectures of all layer kinds."""
    drawn: list[Architecture] = []

    @settings(max_examples=count, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(architectures())
    def collect(architecture: Architecture) -> None:
        drawn.append(architecture)

    collect()
    return drawn


def make_model(architecture: Architecture) -> Model:
    """Make a model in eval mode with parameters and running statistics unlike the initial ones."""
    module = build_model(architecture, seed=3).eval().requires_grad_(False)
    generator = make_generator("browser engine")
    for name, tensor in module.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.dtype.is_floating_point and tensor.ndim == 1:
            tensor.normal_(generator=generator)
    return Model("run", 0, architecture, module)


def train_model(architecture: Architecture, steps: int = 30) -> Model:
    """Train a model on MNIST for a few steps."""
    trainer = Trainer(architecture, Recipe(batch_size=32, limit=32 * steps, epochs=1, validation_size=100))
    for event in trainer.run():
        if isinstance(event, EpochDone):  # leaves out the evaluation on all test images
            break
    module = build_model(architecture)
    module.load_state_dict(trainer.get_weights())
    return Model("run", steps, architecture, module.eval().requires_grad_(False))


def draw_image(model: Model) -> Array:
    """Draw a random image of the model's input shape."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(model.architecture.input.shape, generator=generator).numpy()


def compare_models(
    models: Sequence[Model],
    folder: Path,
    *,
    weight_type: WeightType = "float32",
    sent_images: Sequence[Array] | None = None,
) -> list[float]:
    """Compare models with the engine in one Node process; returns the largest error of each, of both kernels.

    ``sent_images`` go to the engine instead of PyTorch's images.
    """
    images = [draw_image(model) for model in models]
    sent = images if sent_images is None else sent_images
    cases = [(encode_model(model, weight_type=weight_type), image) for model, image in zip(models, sent, strict=True)]
    results = run_networks(cases, folder)
    return [
        max(measure_largest_error(model, image, layers) for layers in variants.values())
        for model, image, variants in zip(models, images, results, strict=True)
    ]


def main() -> None:
    """Print the largest errors of the trained presets, and of the generated networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="Number of generated networks.")
    options = parser.parse_args()
    presets = {name: preset.architecture for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken}
    trained = [train_model(architecture) for architecture in presets.values()]
    with tempfile.TemporaryDirectory() as folder:
        for name, error in zip(presets, compare_models(trained, Path(folder)), strict=True):
            sys.stdout.write(f"{name}: {error:.1e}\n")
    drawn = [make_model(architecture) for architecture in draw_architectures(options.count)]
    with tempfile.TemporaryDirectory() as folder:
        errors = compare_models(drawn, Path(folder))
    sys.stdout.write(f"{len(errors)} generated networks: at most {np.max(errors):.1e}; tolerance {TOLERANCE:.0e}\n")


if __name__ == "__main__":
    main()
