"""The worked examples of CONTRIBUTING.md are executed, and register what they say."""

import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from playground.core.datasets import DATASETS, Dataset
from playground.core.layers import LAYER_KINDS, Layer
from playground.core.optimizers import OPTIMIZERS, Optimizer
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.registry import collect_entries, collect_kinds, import_submodules
from playground.engine.data.splits import load_test_images
from playground.engine.health.diagnosis import DiagnosisRule
from playground.engine.health.rules import DIAGNOSIS_RULES
from playground.engine.health.training_metrics import MetricHistory
from playground.engine.runs.repository import find_run
from playground.export.targets import EXPORT_TARGETS, ExportSource, ExportTarget, render_export
from playground.interpret.attribution.methods import ATTRIBUTION_METHODS, AttributionMethod
from playground.interpret.attribution.pixel_attribution import attribute
from playground.interpret.model import load_model
from tests.engine.health.test_rules import make_metrics
from tests.web.engine_runner import run_node

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (Add .+?)\n.*?```python\n(.*?)```", TEXT, flags=re.MULTILINE | re.DOTALL))


def run_example(title: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "contributing_example"}
    exec(compile(SECTIONS[title], f"CONTRIBUTING.md, {title}", "exec"), namespace)
    return namespace


@pytest.fixture
def import_as_module_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[ModuleType]]:
    """Put an example beside the modules of a package and import them all, as the package does."""

    def import_modules(title: str, package_name: str) -> list[ModuleType]:
        name = f"{package_name}.contributing_example"
        (tmp_path / "contributing_example.py").write_text(SECTIONS[title], encoding="utf-8")
        package = importlib.import_module(package_name)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        monkeypatch.setitem(sys.modules, name, sys)  # restores the absence of the module
        monkeypatch.delitem(sys.modules, name)
        modules = import_submodules(package_name)
        del package.contributing_example
        return modules

    return import_modules


def test_every_kind_of_extension_has_an_example() -> None:
    kinds = ("a layer kind", "an optimizer", "a dataset", "an attribution method", "a diagnosis", "an export target")
    assert SECTIONS.keys() == {f"Add {kind}" for kind in (*kinds, "a page")}


def test_folders_and_registries_of_the_table_exist() -> None:
    rows = re.findall(r"^\| [a-z ]+ \| `(playground/[a-z_/]+)/` \| `([A-Z_]+)` \|$", TEXT, flags=re.MULTILINE)
    assert len(rows) == 8
    for folder, registry in rows:
        assert len(getattr(importlib.import_module(folder.replace("/", ".")), registry)) > 3


@pytest.mark.parametrize(
    ("title", "package", "base", "registry", "name"),
    [
        ("Add a layer kind", "playground.core.layers", Layer, LAYER_KINDS, "channel_shuffle"),
        ("Add an optimizer", "playground.core.optimizers", Optimizer, OPTIMIZERS, "adadelta"),
    ],
)
def test_class_in_a_new_file_is_registered(
    title: str,
    package: str,
    base: type[Any],
    registry: dict[str, Any],
    name: str,
    import_as_module_of: Callable[[str, str], list[ModuleType]],
) -> None:
    assert collect_kinds(import_as_module_of(title, package), base).keys() == {*registry, name}


@pytest.mark.parametrize(
    ("title", "package", "entry_type", "names", "name"),
    [
        ("Add a dataset", "playground.core.datasets", Dataset, list(DATASETS), "olivetti"),
        (
            "Add an attribution method",
            "playground.interpret.attribution.methods",
            AttributionMethod,
            list(ATTRIBUTION_METHODS),
            "gradient_times_input",
        ),
        (
            "Add a diagnosis",
            "playground.engine.health.rules",
            DiagnosisRule,
            [rule.name for rule in reversed(DIAGNOSIS_RULES)],
            "chance",
        ),
        ("Add an export target", "playground.export.targets", ExportTarget, list(EXPORT_TARGETS), "size"),
    ],
)
def test_value_in_a_new_file_is_registered_in_its_order(
    title: str,
    package: str,
    entry_type: type[Any],
    names: list[str],
    name: str,
    import_as_module_of: Callable[[str, str], list[ModuleType]],
) -> None:
    def get_order(entry: Any) -> int:
        return int(entry.severity if isinstance(entry, DiagnosisRule) else entry.menu_order)

    entries = collect_entries(import_as_module_of(title, package), entry_type, order=get_order)
    assert list(entries) == ([name, *names] if entry_type is DiagnosisRule else [*names, name])


def test_two_entries_of_one_name_are_refused() -> None:
    first, second = ModuleType("first"), ModuleType("second")
    first.__dict__["DATASET"] = DATASETS["mnist"]
    second.__dict__["DATASET"] = DATASETS["mnist"]
    assert list(collect_entries([first, second], Dataset, order=lambda _: 0)) == ["mnist"], (
        "imported, not defined again"
    )
    second.__dict__["DATASET"] = dataclasses.replace(DATASETS["usps"], name="mnist")
    with pytest.raises(ValueError, match="Two entries of a registry are named 'mnist'"):
        collect_entries([first, second], Dataset, order=lambda _: 0)


def test_layer_example_shuffles_as_its_torch_module_and_its_keras_layers() -> None:
    layer: Layer = run_example("Add a layer kind")["ChannelShuffle"](groups=2)
    (call,) = layer.build_torch_calls((4, 1, 2))
    maps = torch.arange(8.0).reshape(1, 4, 1, 2)
    output = getattr(torch.nn, call.name)(**call.arguments)(maps)
    assert output[0, :, 0, 0].tolist() == [0, 4, 2, 6]
    grouped, permuted, merged = layer.build_keras_calls((4, 1, 2))
    values = maps.permute(0, 2, 3, 1).reshape(1, *grouped.positional[0]).permute(0, *permuted.positional[0])
    assert torch.equal(values.reshape(1, *merged.positional[0]).permute(0, 3, 1, 2), output)


def test_javascript_example_shuffles_channels(tmp_path: Path) -> None:
    (example,) = re.findall(r"```javascript\n(.*?)```", TEXT, flags=re.DOTALL)
    operations = ROOT / "playground/web/engine/operations"
    (tmp_path / "example.mjs").write_text(example.replace('"./', f'"{operations.as_uri()}/'), encoding="utf-8")
    program = """
import { planChannelShuffle } from "./example.mjs"
const heap = new Float32Array(20).fill(7)
heap.set([0, 1, 2, 3, 4, 5, 6, 7], 1)
const place = { input: { offset: 1 }, inputShape: [4, 1, 2], machine: { heap }, reserveOutput: () => ({ offset: 10 }) }
const { outputShape, run, explain } = planChannelShuffle({ ...place, spec: { groups: 2 } })
run()
console.log(JSON.stringify([outputShape, [...heap.subarray(10, 18)], explain(1).firstInputChannel]))
"""
    (tmp_path / "program.mjs").write_text(program, encoding="utf-8")
    shape, values, source = json.loads(run_node(tmp_path / "program.mjs"))
    assert shape == [4, 1, 2]
    assert values == [0, 1, 4, 5, 2, 3, 6, 7]
    assert source == 2


def test_optimizer_example_builds_its_torch_class() -> None:
    optimizer = run_example("Add an optimizer")["Adadelta"](rho=0.8)
    torch_class = getattr(torch.optim, optimizer.torch_class.rsplit(".", 1)[1])
    built = torch_class(
        [torch.zeros(2, requires_grad=True)], lr=optimizer.typical_lr, **optimizer.build_torch_arguments()
    )
    assert built.defaults["rho"] == 0.8


def test_dataset_example_is_complete() -> None:
    dataset = run_example("Add a dataset")["FACES"]
    assert (len(dataset.class_names), dataset.sample_noun) == (40, "image")


def test_attribution_example_attributes_a_digit(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    method = run_example("Add an attribution method")["compute_gradient_times_input"]
    monkeypatch.setitem(ATTRIBUTION_METHODS, method.name, method)
    image = load_test_images("mnist").get_image(0)
    result = attribute(load_model(find_run("pretrained")), image, 7, "gradient_times_input")
    assert result.values.shape == (28, 28)
    assert (result.values[image[0] == 0] == 0).all()
    assert np.abs(result.values).max() > 0


@pytest.mark.parametrize(("accuracy", "is_diagnosed"), [(0.04, True), (0.05, False)])
def test_diagnosis_example_detects_chance(accuracy: float, is_diagnosed: bool) -> None:
    rule: DiagnosisRule = run_example("Add a diagnosis")["detect_chance"]
    diagnosis = rule.apply(make_metrics(validation_accuracy=accuracy), MetricHistory())
    assert (diagnosis is not None) == is_diagnosed
    if diagnosis:
        assert diagnosis.message.startswith("The validation accuracy is 4%.")


def test_export_example_renders_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    target: ExportTarget = run_example("Add an export target")["render_size"]
    monkeypatch.setitem(EXPORT_TARGETS, target.name, target)
    source = ExportSource(get_architecture_preset("guide").architecture, Recipe(), "Guide")
    assert render_export("size", source) == b"Guide: 93,322 parameters\n"


def test_page_example_renders() -> None:
    app = AppTest.from_string(SECTIONS["Add a page"], default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Sizes"
