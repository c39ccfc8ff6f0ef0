"""Exported PyTorch code: golden files, and the same logits as the engine's model."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from playground.codegen.torch_model import to_json, to_pytorch
from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Flatten, Output
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.engine.model.build import build_model
from playground.errors import ArchitectureError
from tests import strategies

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("name", ["guide", "residual"])
def test_code_is_the_golden_file(name: str) -> None:
    """``UPDATE_GOLDEN=1`` rewrites the files; review the difference before a commit."""
    preset = get_architecture_preset(name)
    code = to_pytorch(preset.architecture, title=preset.title)
    path = GOLDEN / f"{name}.py.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(code, encoding="utf-8")
    assert code == path.read_text(encoding="utf-8")


def _executed(code: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "exported"}
    exec(compile(code, "exported.py", "exec"), namespace)
    return namespace


def _check_same_logits(architecture: Architecture) -> None:
    module = build_model(architecture, seed=3)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for buffer in module.buffers():  # running statistics must be exported too
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=noise) + 0.5)
    exported: nn.Module = _executed(to_pytorch(architecture))["make_model"]()
    exported.load_state_dict(module.state_dict(), strict=True)
    images = torch.rand(2, *architecture.input.shape, generator=noise)
    with torch.inference_mode():
        assert torch.equal(exported.eval()(images), module.eval()(images))


@given(architecture=strategies.architectures())
@settings(max_examples=50)
def test_exported_code_gives_the_same_logits(architecture: Architecture) -> None:
    _check_same_logits(architecture)


@pytest.mark.parametrize("name", [name for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken])
def test_exported_presets_give_the_same_logits(name: str) -> None:
    _check_same_logits(get_architecture_preset(name).architecture)


@pytest.mark.parametrize("name", ["guide", "residual"])
def test_exported_code_runs_as_a_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = to_pytorch(get_architecture_preset(name).architecture)
    exec(compile(code, "exported.py", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert "Conv2d(1, " in printed
    probabilities = printed.rpartition("tensor([[")[2].partition("]]")[0].split(",")
    assert len(probabilities) == 10
    assert sum(map(float, probabilities)) == pytest.approx(1, abs=1e-3)


def test_sigmoid_output_is_exported_with_one_unit() -> None:
    architecture = Architecture(classes=2, layers=(Flatten(), Output(activation="sigmoid")))
    code = to_pytorch(architecture)
    assert "nn.Linear(784, 1)" in code
    assert ".sigmoid()" in code
    assert "softmax" not in code


@pytest.mark.parametrize("title", ['"""', 'ends in a quote"', "a\\N", "\\", 'x"""\nraise SystemExit\n"""', "naïve ✓"])
def test_title_never_becomes_code(title: str) -> None:
    """Titles are names of runs, which users enter."""
    code = to_pytorch(get_architecture_preset("tiny").architecture, title=title)
    assert isinstance(_executed(code)["make_model"](), nn.Sequential)


def test_broken_network_is_not_exported() -> None:
    with pytest.raises(ArchitectureError, match="needs a vector"):
        to_pytorch(Architecture(layers=(Conv2d(), Output())))
    with pytest.raises(ArchitectureError, match="no output layer"):
        to_pytorch(Architecture())


@given(architecture=strategies.any_architectures(most=None))
@settings(max_examples=100)
def test_json_round_trip(architecture: Architecture) -> None:
    text = to_json(architecture)
    assert text.endswith("}\n")
    assert Architecture.from_json(text).digest == architecture.digest
    assert json.loads(text)["schema"] == 1
    assert "\n  " in text
