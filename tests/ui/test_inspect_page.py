"""Inspect and Mistakes pages through AppTest: every view of every layer kind, also of a diverged network."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageSequence
from streamlit.testing.v1 import AppTest

from playground.core.architecture import Architecture, InputShape
from playground.core.events import RunEnded
from playground.core.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.engine.model.build import build_model
from playground.engine.progress import Steps
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.interpret.editing import ChannelScale, KernelEdit
from playground.interpret.evaluation.dataset_predictions import is_evaluated, load_run_test_images, predict_dataset
from playground.interpret.model import Model
from playground.ui import services
from playground.ui.page_states import EditorState, InspectState, MistakesState
from playground.ui.pages.inspect import top_activations
from playground.ui.pages.inspect.page import VIEWS
from playground.ui.pages.mistakes import calibration
from playground.ui.pages.mistakes import page as mistakes_page
from playground.ui.panels import edit
from playground.ui.state import AppState
from tests.run_events import write_log
from tests.ui.apps import NoWorkers, find, html_of

EVERY_KIND = Architecture(
    layers=(
        Conv2d(out_channels=6, stride=2, padding=1),
        BatchNorm(),
        Activation(activation="tanh"),
        AvgPool2d(),
        Residual(layers=(Conv2d(out_channels=8, padding="same", groups=2),)),
        Conv2d(out_channels=40, dilation=2, activation="none"),
        GlobalAvgPool(),
        Dropout(),
        Linear(out_features=7),
        Output(),
    )
)
COLOR = Architecture(
    input=InputShape(channels=3, height=14, width=12),
    layers=(MaxPool2d(), Conv2d(out_channels=5), Conv2d(out_channels=3, padding=1), Flatten(), Output()),
)
FLAT = Architecture(layers=(Flatten(), Linear(out_features=12), Output()))


def run_of(architecture: Architecture, *, snapshots: int = 3, spoil: float | None = None) -> Run:
    """Create a run with different weights in each snapshot; ``spoil``: value of all weights of the newest one."""

    def fill(run: Run) -> None:
        for index in range(snapshots):
            weights = build_model(architecture, seed=index).state_dict()
            if spoil is not None and index == snapshots - 1:
                weights = {
                    name: torch.full_like(value, spoil) if value.is_floating_point() else value
                    for name, value in weights.items()
                }
            run.get_snapshot_path(index * 10).write_bytes(serialize_snapshot(dict(weights)))
        write_log(run, RunEnded(step=(snapshots - 1) * 10, elapsed_s=1, status="completed"))

    return create_run(architecture, get_recipe_preset("sprint").recipe, name="Mine", write_initial_files=fill)


def _inside() -> None:
    import streamlit as st

    from playground.ui.pages.inspect.page import render_inspect_page

    st.session_state["pages"] = {}
    render_inspect_page()


def _mistakes() -> None:
    import streamlit as st

    from playground.ui.pages.mistakes.page import render_mistakes_page

    st.session_state["pages"] = {}
    render_mistakes_page()


@pytest.fixture(autouse=True)
def _server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import streamlit as st

    st.cache_resource.clear()
    monkeypatch.setattr(services, "Scheduler", NoWorkers)
    # Few images: the pages are tested here, not the computations.
    for panel in (top_activations, edit):
        monkeypatch.setattr(panel, "load_run_test_images", lambda run, count=None: load_run_test_images(run, 250))
    monkeypatch.setattr(calibration, "_SAMPLE_SIZE", 20)
    yield
    st.cache_resource.clear()


def inside(run: Run, **fields: Any) -> AppTest:
    page = AppTest.from_function(_inside, default_timeout=120)
    page.session_state["playground"] = AppState(
        EditorState(run.record.architecture, run.record.recipe),
        inspect=InspectState(run_id=run.id, **fields),
    )
    return page.run()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("architecture", [EVERY_KIND, FLAT, COLOR], ids=["every-kind", "flat", "color"])
def test_every_view_renders_every_layer_kind(architecture: Architecture, view: str) -> None:
    run = run_of(architecture)
    for layer in run.record.architecture.layers:
        page = inside(run, view=view, layer_id=layer.id, channel=3)
        assert not page.exception, (layer.id, page.exception)
        assert layer.title in html_of(page)


def test_only_kernels_that_read_the_color_image_are_rendered_as_rgb() -> None:
    run = run_of(COLOR)
    _, sees, does_not, *_ = run.record.architecture.layers
    assert "Kernels 1 to 5 as red, green and blue" in html_of(inside(run, view="Filters", layer_id=sees.id))
    assert "as red, green" not in html_of(inside(run, view="Filters", layer_id=does_not.id))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("spoil", [float("nan"), 0.0])
@pytest.mark.parametrize("architecture", [get_architecture_preset("tiny").architecture, COLOR], ids=["tiny", "color"])
def test_every_view_renders_a_diverged_or_dead_network(architecture: Architecture, view: str, spoil: float) -> None:
    run = run_of(architecture, spoil=spoil)
    first = next(layer for layer in run.record.architecture.layers if layer.has_weights)
    for layer in (first, run.record.architecture.layers[-1]):
        page = inside(run, view=view, layer_id=layer.id)
        assert not page.exception, (layer.id, page.exception)


def test_selecting_an_earlier_step_changes_the_page() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Filters")
    newest = html_of(page)
    page.select_slider(key=f"inside-step-{run.id}").set_value(0).run()
    assert not page.exception
    assert page.session_state["playground"].inspect.selected_steps[run.id] == 0
    assert html_of(page) != newest


def test_page_says_if_it_follows_the_newest_snapshot_of_a_live_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "is_live", lambda _: True)
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Filters")
    assert "this page follows the newest snapshot" in html_of(page)
    slider = f"inside-step-{run.id}"
    page.select_slider(key=slider).set_value(10).run()
    assert "this page follows" not in html_of(page)
    assert "Move the slider to the end to follow the newest snapshot" in html_of(page)
    page.select_slider(key=slider).set_value(20).run()
    assert "this page follows the newest snapshot" in html_of(page)
    assert not page.exception


def test_channel_is_switched_off_scaled_and_restored() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Edit", channel=1)
    state: AppState = page.session_state["playground"]
    page.button(key="operate-off").click().run()
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 0.0),)
    assert "1 edit applied." in html_of(page)
    find(page.slider, "operate-factor").set_value(1.5).run()
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 1.5),)  # the last scale replaces the first
    page.button(key="operate-zero").click().run()
    zeros = ((0.0, 0.0, 0.0),) * 3
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 1.5), KernelEdit(0, 1, 0, zeros))
    page.button(key="operate-undo-0").click().run()
    assert state.inspect.edits[run.id] == (KernelEdit(0, 1, 0, zeros),)
    page.button(key="operate-revert").click().run()
    assert not state.inspect.edits.get(run.id)
    assert not page.exception


def test_channel_stays_selected_after_switching_it_off() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Edit")
    chosen = page.number_input(key="operate-channel").value
    page.button(key="operate-off").click().run()
    assert page.number_input(key="operate-channel").value == chosen
    assert page.button(key="operate-off").label == "Switch on"
    page.button(key="operate-off").click().run()
    assert page.button(key="operate-off").label == "Switch off"


def test_channels_are_ranked_and_an_edited_network_is_saved() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Edit")
    page.button(key="operate-find").click().run()
    assert "accuracy change" in html_of(page)
    page.button(key="operate-off").click().run()
    page.button(key="operate-save").click().run()
    assert not page.exception
    state: AppState = page.session_state["playground"]
    assert state.inspect.run_id not in (None, run.id)
    assert not state.inspect.edits.get(run.id)


def test_activation_maximization_and_counterfactual_render_results() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Top activations")
    page.button(key="dream-start").click().run()
    assert "for the noise, " in html_of(page)
    page = inside(run, view="Attribution")
    page.button(key="counterfactual-start").click().run()
    assert "flips the prediction to" in html_of(page)
    assert not page.exception


def test_animation_is_created() -> None:
    page = inside(run_of(get_architecture_preset("tiny").architecture))
    page.button(key="animation-start").click().run()
    assert not page.exception
    assert page.session_state["animation"][1].startswith(b"GIF89a")


def test_animation_shows_the_page_of_maps_in_view() -> None:
    architecture = Architecture(layers=(Conv2d(out_channels=40), Flatten(), Output()))
    run = run_of(architecture)
    page = inside(run, channel=35)
    page.button(key="animation-start").click().run()
    assert not page.exception
    animation = Image.open(BytesIO(page.session_state["animation"][1]))
    assert len(list(ImageSequence.Iterator(animation))) == 3
    first_page = inside(run, channel=0)
    first_page.button(key="animation-start").click().run()
    # Maps 33 to 40 fill one row of tiles, maps 1 to 32 four.
    assert animation.height < Image.open(BytesIO(first_page.session_state["animation"][1])).height


@pytest.mark.parametrize("spoil", [None, float("nan")])
@pytest.mark.parametrize("view", ["Confusion matrix", "Calibration", "Robustness", "Embedding"])
def test_every_view_of_the_mistakes_page_renders(view: str, spoil: float | None) -> None:
    run = run_of(get_architecture_preset("tiny").architecture, spoil=spoil)
    page = AppTest.from_function(_mistakes, default_timeout=120)
    state = AppState(
        EditorState(run.record.architecture, run.record.recipe),
        inspect=InspectState(run_id=run.id),
        mistakes=MistakesState(confusion_cell=(4, 9)),
    )
    page.session_state["playground"] = state
    page.session_state["mistakes-view"] = view
    page.run()
    assert not page.exception
    assert "accuracy on 10,000 test images" in html_of(page)
    page.select_slider(key=f"mistakes-step-{run.id}").set_value(0).run()
    assert not page.exception
    assert "accuracy on 1,000 test images" in html_of(page)
    page.toggle(key="mistakes-all").set_value(True).run()
    assert "accuracy on 10,000 test images" in html_of(page)


def mistakes(run: Run) -> AppTest:
    page = AppTest.from_function(_mistakes, default_timeout=120)
    page.session_state["playground"] = AppState(
        EditorState(run.record.architecture, run.record.recipe), inspect=InspectState(run_id=run.id)
    )
    return page.run()


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The step and the number of images of each evaluation that the Mistakes page asks for."""
    asked: list[tuple[int, int]] = []

    def predict(model: Model, data: LabeledImages) -> Steps[Evaluation]:
        if not is_evaluated(model, data):
            asked.append((model.step, len(data)))
        return predict_dataset(model, data)

    monkeypatch.setattr(mistakes_page, "predict_dataset", predict)
    return asked


def test_mistakes_page_shows_a_sample_first_and_then_all_test_images(evaluated: list[tuple[int, int]]) -> None:
    page = mistakes(run_of(get_architecture_preset("tiny").architecture))
    assert not page.exception
    assert evaluated == [(20, 1000), (20, 10_000)]
    assert "accuracy on 10,000 test images" in html_of(page)


def test_mistakes_page_stays_at_one_step_while_the_run_trains(
    evaluated: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "is_live", lambda _: True)
    run = run_of(get_architecture_preset("tiny").architecture)
    page = mistakes(run)
    run.get_snapshot_path(30).write_bytes(run.get_snapshot_path(20).read_bytes())
    page.session_state["playground"].mistakes.confusion_cell = (4, 9)
    page.run()
    assert "This page stays at step 20 while the run trains." in html_of(page)
    assert {step for step, _ in evaluated} == {20}
    assert len(evaluated) == 2, "a click evaluates nothing"
    page.button(key="mistakes-newest").click().run()
    assert "This page stays at step 30 while the run trains." in html_of(page)
    assert not page.exception
