"""Everything a network can leave as: each form is made for presets and runs, and what can be read again is the same."""

import json

import pytest
import safetensors.torch
import torch

from playground.code_import.parse_network import parse_network
from playground.core.architecture import Architecture
from playground.core.datasets import ExtractedFeatures
from playground.core.events import RunEnded
from playground.core.layers import Conv2d, Flatten, MaxPool2d, Output, Residual
from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.errors import RecipeError, UnknownNameError
from playground.export.targets import EXPORT_TARGETS, ExportSource, render_export
from tests.run_events import write_log

NET = Architecture(
    layers=(
        Conv2d(out_channels=4),
        MaxPool2d(),
        Residual(layers=(Conv2d(out_channels=4, padding="same"),)),
        Flatten(),
        Output(),
    )
)
RECIPE = Recipe(lr=0.01, epochs=2, seed=7)


@pytest.fixture
def trained(home: object) -> Run:
    def fill(run: Run) -> None:
        run.get_snapshot_path(5).write_bytes(serialize_snapshot(build_model(NET, seed=1).state_dict()))
        write_log(run, RunEnded(step=5, elapsed_s=1, status="stopped"))

    return create_run(NET, RECIPE, name='Mine / "yours" <b>', write_initial_files=fill)


@pytest.mark.parametrize("name", EXPORT_TARGETS)
def test_every_form_is_written_for_a_run(name: str, trained: Run) -> None:
    exported = ExportSource.from_run(trained)
    content = render_export(name, exported)
    assert len(content) > 60
    file_name = EXPORT_TARGETS[name].build_file_name(exported)
    assert set(file_name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert file_name.endswith(EXPORT_TARGETS[name].suffix)
    if EXPORT_TARGETS[name].suffix.endswith(".py"):
        compile(content, file_name, "exec")


@pytest.mark.parametrize("name", EXPORT_TARGETS)
def test_only_binary_targets_are_not_utf_8_text(name: str, trained: Run) -> None:
    content = render_export(name, ExportSource.from_run(trained))
    if EXPORT_TARGETS[name].is_binary:
        with pytest.raises(UnicodeDecodeError):
            content.decode()
    else:
        assert "\0" not in content.decode()


def test_weights_of_a_run_without_snapshots_are_refused(home: object) -> None:
    run = create_run(NET, RECIPE)
    for name in (name for name, target in EXPORT_TARGETS.items() if target.needs_weights):
        with pytest.raises(UnknownNameError, match="without trained weights"):
            render_export(name, ExportSource.from_run(run))


@pytest.mark.parametrize("name", EXPORT_TARGETS)
def test_without_a_run_there_is_what_needs_no_weights(name: str, home: object) -> None:
    exported = ExportSource(NET, RECIPE, "A network")
    if EXPORT_TARGETS[name].needs_weights:
        with pytest.raises(UnknownNameError, match="Train the network"):
            render_export(name, exported)
    else:
        assert render_export(name, exported)


def test_weights_are_those_of_the_newest_snapshot(trained: Run) -> None:
    weights = safetensors.torch.load(render_export("weights", ExportSource.from_run(trained)))
    assert all(torch.equal(weights[name], value) for name, value in build_model(NET, seed=1).state_dict().items())


@pytest.mark.parametrize("name", ["json", "link", "torch", "keras"])
def test_what_was_written_is_read_as_the_same_network(name: str, trained: Run) -> None:
    found = parse_network(render_export(name, ExportSource.from_run(trained)).decode())
    assert found.architecture.digest == NET.digest
    if name == "link":
        assert found.recipe == RECIPE


def test_a_report_holds_the_run_s_name_as_text(trained: Run) -> None:
    page = render_export("report", ExportSource.from_run(trained)).decode()
    assert (
        "Mine / &quot;yours&quot; &lt;b&gt;" in page
        or "Mine / &#34;yours&#34; &lt;b&gt;" in page
        or "&lt;b&gt;" in page
    )
    assert "<b>" not in page.split("</title>")[0]


def test_programs_say_what_of_a_transferred_run_they_do_not_do(trained: Run) -> None:
    recipe = RECIPE.replace(transferred_lr_scale=0.1)
    run = create_run(NET, recipe, parent=trained.id, parent_step=5)
    for name in ("torch-train", "keras"):
        code = render_export(name, ExportSource.from_run(run)).decode()
        assert "started from the weights of another run" in code
        assert "0.1 times the learning rate" in code
        compile(code, name, "exec")
        assert "# " not in render_export(name, ExportSource.from_run(trained)).decode().split('"""')[0]


def test_outputs_of_which_no_data_set_knows_are_called_by_their_numbers() -> None:
    net = Architecture(layers=(Flatten(), Output()), classes=2)
    assert ExportSource(net, Recipe(), "Two").class_names == ("0", "1")
    assert ExportSource(net, Recipe(dataset="own:never-was-here"), "Gone").class_names == ("0", "1")
    assert ExportSource(NET, Recipe(dataset="fashion-mnist"), "Ten").class_names[0] == "T-shirt"


def test_a_net_of_features_leaves_as_no_program_that_would_need_another_net(home: object) -> None:
    noise = torch.Generator().manual_seed(0)
    images = LabeledImages(
        torch.randint(0, 256, (40, 1, 16, 32), generator=noise, dtype=torch.uint8), torch.arange(40) % 2
    )
    features = ExtractedFeatures("resnet18", (3, 32, 32), False, "Some. Of mine.", 0.0, 0.01)
    name = save_custom_dataset("Seen", CustomImages(images, None, ("a", "b"), (), 0), features=features)
    net = Architecture(layers=(Flatten(), Output())).adapt_to_images((1, 16, 32), 2)
    exported = ExportSource(net, Recipe(dataset=name), "Seen")
    for form in ("torch-train", "torch-predict", "keras"):
        with pytest.raises(RecipeError, match="resnet18"):
            render_export(form, exported)
    assert b"nn.Linear(512, 2)" in render_export("torch", exported)


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(UnknownNameError, match="fortran"):
        render_export("fortran", ExportSource(NET, RECIPE, "A network"))


def test_json_has_no_ids(trained: Run) -> None:
    assert all(
        "id" not in layer for layer in json.loads(render_export("json", ExportSource.from_run(trained)))["layers"]
    )
