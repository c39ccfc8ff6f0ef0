"""The worked examples of CONTRIBUTING.md are executed, and register what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from playground.core.datasets import DATASETS
from playground.core.layers.shared.base import Layer
from playground.core.optimizers import OPTIMIZERS
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.data.splits import load_test_images
from playground.engine.health.diagnosis import DiagnosisRule
from playground.engine.runs.repository import find_run
from playground.export.targets import EXPORT_TARGETS, ExportSource, render_export
from playground.interpret.attribution.methods import METHODS
from playground.interpret.attribution.pixel_attribution import attribute
from playground.interpret.model import load_model

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (Add .+?)\n.*?```python\n(.*?)```", TEXT, flags=re.MULTILINE | re.DOTALL))


def run_example(title: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "contributing_example"}
    exec(compile(SECTIONS[title], f"CONTRIBUTING.md, {title}", "exec"), namespace)
    return namespace


def test_every_kind_of_extension_has_an_example() -> None:
    kinds = ("a layer kind", "an optimizer", "a dataset", "an attribution method", "a diagnosis", "an export target")
    assert SECTIONS.keys() == {f"Add {kind}" for kind in (*kinds, "a page")}


def test_layer_example_has_the_shape_of_its_torch_module() -> None:
    layer: Layer = run_example("Add a layer kind")["ZeroPad2d"](padding=2)
    (call,) = layer.build_torch_calls((3, 8, 8))
    output = getattr(torch.nn, call.name)(**call.arguments)(torch.ones(1, 3, 8, 8))
    assert tuple(output.shape[1:]) == layer.compute_output_shape((3, 8, 8)) == (3, 12, 12)


def test_optimizer_example_builds_its_torch_class() -> None:
    optimizer = run_example("Add an optimizer")["Adadelta"](rho=0.8)
    assert optimizer.kind not in OPTIMIZERS
    torch_class = getattr(torch.optim, optimizer.torch_class.rsplit(".", 1)[1])
    built = torch_class(
        [torch.zeros(2, requires_grad=True)], lr=optimizer.typical_lr, **optimizer.build_torch_arguments()
    )
    assert built.defaults["rho"] == 0.8


def test_dataset_example_is_complete() -> None:
    dataset = run_example("Add a dataset")["FACES"]
    assert dataset.name not in DATASETS
    assert (len(dataset.class_names), dataset.sample_noun) == (40, "image")


def test_attribution_example_attributes_a_digit(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    methods = dict(METHODS)
    monkeypatch.setattr("playground.interpret.attribution.methods.METHODS", methods)
    run_example("Add an attribution method")
    assert METHODS.keys() < methods.keys()
    image = load_test_images("mnist").images[0].numpy().astype(np.float32) / 255
    monkeypatch.setitem(METHODS, "gradient_times_input", methods["gradient_times_input"])
    result = attribute(load_model(find_run("pretrained")), image, 7, "gradient_times_input")
    assert result.values.shape == (28, 28)
    assert (result.values[image[0] == 0] == 0).all()
    assert np.abs(result.values).max() > 0


@pytest.mark.parametrize(("accuracy", "is_diagnosed"), [(0.04, True), (0.05, False)])
def test_diagnosis_example_detects_chance(accuracy: float, is_diagnosed: bool) -> None:
    class Metrics:
        validation_accuracy = accuracy

    rule: DiagnosisRule = run_example("Add a diagnosis")["detect_chance"]
    diagnosis = rule.apply(Metrics(), [])  # type: ignore[arg-type]
    assert (diagnosis is not None) == is_diagnosed
    if diagnosis:
        assert diagnosis.message.startswith("The validation accuracy is 4%.")


def test_export_example_renders_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXPORT_TARGETS, "size", raising=False)
    try:
        run_example("Add an export target")
        source = ExportSource(get_architecture_preset("guide").architecture, Recipe(), "Guide")
        assert render_export("size", source) == b"Guide: 93,322 parameters\n"
    finally:
        EXPORT_TARGETS.pop("size", None)


def test_page_example_renders() -> None:
    app = AppTest.from_string(SECTIONS["Add a page"]).run()
    assert not app.exception
    assert app.title[0].value == "Sizes"
