"""The browser engine in one Node process, for tests that compare it with PyTorch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from playground.interpret.activations.activations import compute_activations
from playground.interpret.model import Model

Array = NDArray[np.float32]
_FOLDER = Path(__file__).parent
VARIANTS = ("wasm", "js")


def find_node() -> str:
    """Find Node, which comes with the test extra."""
    beside = shutil.which("node", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("node")
    assert found, 'Node is missing: pip install -e ".[test]"'
    return found


def run_node(script: Path, *arguments: object) -> str:
    """Run a script and return its output."""
    command = [find_node(), str(script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@dataclass(frozen=True)
class LayerResult:
    """Results of one layer; ``pre_activation`` is None without an activation."""

    layer_index: int
    output: Array
    pre_activation: Array | None


def run_networks(cases: Sequence[tuple[bytes, Array]], folder: Path) -> list[dict[str, list[LayerResult]]]:
    """Run network files on an image each; returns the layers by the variant of the kernels."""
    write_cases(cases, folder)
    run_node(_FOLDER / "run_networks.mjs", folder)
    return [_read_results(folder, number) for number in range(len(cases))]


def write_cases(cases: Sequence[tuple[bytes, Array]], folder: Path) -> None:
    """Write numbered network files with their images."""
    for number, (content, image) in enumerate(cases):
        (folder / f"{number}.network").write_bytes(content)
        (folder / f"{number}.image").write_bytes(np.ascontiguousarray(image, dtype="<f4").tobytes())


def _read_results(folder: Path, number: int) -> dict[str, list[LayerResult]]:
    description = json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
    variants = {}
    for variant in VARIANTS:
        values = np.frombuffer((folder / f"{number}.{variant}.results").read_bytes(), dtype="<f4")
        variants[variant] = [
            LayerResult(
                layer["index"],
                _slice(values, layer["outputOffset"], layer["outputShape"]),
                None
                if layer["preActivationOffset"] is None
                else _slice(values, layer["preActivationOffset"], layer["preActivationShape"]),
            )
            for layer in description["layers"]
        ]
    return variants


def _slice(values: Array, offset: int, shape: Sequence[int]) -> Array:
    return values[offset : offset + int(np.prod(shape))].reshape(shape)


def measure_largest_error(model: Model, image: Array, layers: Sequence[LayerResult]) -> float:
    """Measure the largest |difference| to PyTorch over max(1, largest absolute value of the layer), of all layers."""
    expected = compute_activations(model, image)
    assert [layer.layer_index for layer in layers] == [item.layer_index for item in expected]
    errors = [0.0]
    for layer, item in zip(layers, expected, strict=True):
        pairs = [(layer.output, item.output)]
        assert (layer.pre_activation is None) == (item.pre_activation is None)
        if layer.pre_activation is not None and item.pre_activation is not None:
            pairs.append((layer.pre_activation, item.pre_activation))
        for values, reference in pairs:
            assert values.shape == reference.shape
            scale = max(1.0, float(np.abs(reference).max()))
            errors.append(float(np.abs(values - reference).max()) / scale)
    return max(errors)
