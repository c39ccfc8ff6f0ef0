"""Look inside and Mistakes through AppTest: every view, for every kind of net, also one that diverged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
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
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event, serialize_snapshot
from playground.interpret.editing import ChannelScale, KernelEdit
from playground.interpret.evaluation.predictions import load_run_test_images
from playground.ui import services as server
from playground.ui.page_states import EditorState, InspectState, MistakesState
from playground.ui.pages.inspect import top_activations as excites
from playground.ui.pages.inspect.page import VIEWS
from playground.ui.pages.mistakes import calibration as trust
from playground.ui.panels import edit as operate
from playground.ui.state import AppState
from tests.ui.test_pages import NoWorkers, html_of

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
COLOUR = Architecture(
    input=InputShape(channels=3, height=14, width=12),
    layers=(MaxPool2d(), Conv2d(out_channels=5), Conv2d(out_channels=3, padding=1), Flatten(), Output()),
)
FLAT = Architecture(layers=(Flatten(), Linear(out_features=12), Output()))


def run_of(architecture: Architecture, *, moments: int = 3, spoil: float | None = None) -> Run:
    """A run with other weights at each moment; ``spoil`` is what its newest weights are all set to."""

    def fill(run: Run) -> None:
        for moment in range(moments):
            weights = build_model(architecture, seed=moment).state_dict()
            if spoil is not None and moment == moments - 1:
                weights = {
                    name: torch.full_like(value, spoil) if value.is_floating_point() else value
                    for name, value in weights.items()
                }
            run.get_snapshot_path(moment * 10).write_bytes(serialize_snapshot(dict(weights)))
        run.log_path.write_bytes(serialize_event(RunEnded(step=(moments - 1) * 10, elapsed_s=1, status="completed")))

    return create_run(architecture, get_recipe_preset("sprint").recipe, name="Mine", write_initial_files=fill)


def _inside() -> None:
    import streamlit as st

    from playground.ui.pages.inspect import page as inside

    st.session_state["pages"] = {}
    inside.render_inspect_page()


def _mistakes() -> None:
    import streamlit as st

    from playground.ui.pages.mistakes import page as mistakes

    st.session_state["pages"] = {}
    mistakes.render_mistakes_page()


@pytest.fixture(autouse=True)
def _server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import streamlit as st

    st.cache_resource.clear()
    monkeypatch.setattr(server, "Scheduler", NoWorkers)
    # Pages are tested here, not lenses: those are asked about few images.
    for panel in (excites, operate):
        monkeypatch.setattr(panel, "load_run_test_images", lambda run, count=None: load_run_test_images(run, 250))
    monkeypatch.setattr(trust, "_SAMPLE_SIZE", 20)
    yield
    st.cache_resource.clear()


def inside(run: Run, **fields: object) -> AppTest:
    page = AppTest.from_function(_inside, default_timeout=120)
    page.session_state["playground"] = AppState(
        EditorState(run.record.architecture, run.record.recipe),
        inspect=InspectState(run_id=run.id, **fields),  # type: ignore[arg-type]
    )
    return page.run()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("architecture", [EVERY_KIND, FLAT, COLOUR], ids=["every-kind", "flat", "colour"])
def test_every_view_of_every_kind_of_layer(architecture: Architecture, view: str) -> None:
    run = run_of(architecture)
    for layer in run.record.architecture.layers:
        page = inside(run, view=view, layer_id=layer.id, channel=3)
        assert not page.exception, (layer.id, page.exception)
        assert layer.title in html_of(page)


def test_only_kernels_that_see_the_image_s_colours_are_shown_in_them() -> None:
    run = run_of(COLOUR)
    _, sees, does_not, *_ = run.record.architecture.layers
    assert "Kernels 1 to 5 as red, green and blue" in html_of(inside(run, view="Filters", layer_id=sees.id))
    assert "as red, green" not in html_of(inside(run, view="Filters", layer_id=does_not.id))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("spoil", [float("nan"), 0.0])
@pytest.mark.parametrize("architecture", [get_architecture_preset("tiny").architecture, COLOUR], ids=["tiny", "colour"])
def test_a_net_that_diverged_or_died_can_still_be_looked_at(
    architecture: Architecture, view: str, spoil: float
) -> None:
    run = run_of(architecture, spoil=spoil)
    first = next(layer for layer in run.record.architecture.layers if layer.has_weights)
    for layer in (first, run.record.architecture.layers[-1]):
        page = inside(run, view=view, layer_id=layer.id)
        assert not page.exception, (layer.id, page.exception)


def test_the_moment_moves_everything() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Filters")
    newest = html_of(page)
    page.select_slider(key=f"inside-step-{run.id}").set_value(0).run()
    assert not page.exception
    assert page.session_state["playground"].inspect.selected_steps[run.id] == 0
    assert html_of(page) != newest


def test_a_channel_is_switched_off_scaled_and_brought_back() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Operate", channel=1)
    state: AppState = page.session_state["playground"]
    page.button(key="operate-off").click().run()
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 0.0),)
    assert "Operated on: 1 change." in html_of(page)
    page.slider(key="operate-factor").set_value(1.5).run()
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 1.5),)  # one change a channel, the last one
    page.button(key="operate-zero").click().run()
    zeros = ((0.0, 0.0, 0.0),) * 3
    assert state.inspect.edits[run.id] == (ChannelScale(0, 1, 1.5), KernelEdit(0, 1, 0, zeros))
    page.button(key="operate-undo-0").click().run()
    assert state.inspect.edits[run.id] == (KernelEdit(0, 1, 0, zeros),)
    page.button(key="operate-revert").click().run()
    assert not state.inspect.edits.get(run.id)
    assert not page.exception


def test_the_channel_that_was_switched_off_stays_the_chosen_one() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Operate")
    chosen = page.number_input(key="operate-channel").value
    page.button(key="operate-off").click().run()
    assert page.number_input(key="operate-channel").value == chosen
    assert page.button(key="operate-off").label == "Switch on"
    page.button(key="operate-off").click().run()
    assert page.button(key="operate-off").label == "Switch off"


def test_the_least_important_channels_are_found_and_switched_off_and_saved() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Operate")
    page.button(key="operate-find").click().run()
    assert "change of accuracy" in html_of(page)
    page.button(key="operate-off").click().run()
    page.button(key="operate-save").click().run()
    assert not page.exception
    state: AppState = page.session_state["playground"]
    assert state.inspect.run_id not in (None, run.id)
    assert not state.inspect.edits.get(run.id)


def test_a_dream_and_a_counterfactual_are_found() -> None:
    run = run_of(get_architecture_preset("tiny").architecture)
    page = inside(run, view="Excites")
    page.button(key="dream-start").click().run()
    assert "for the noise to" in html_of(page)
    page = inside(run, view="Why")
    page.button(key="counterfactual-start").click().run()
    assert "change" in html_of(page)
    assert not page.exception


def test_a_film_is_made() -> None:
    page = inside(run_of(get_architecture_preset("tiny").architecture))
    page.button(key="film-start").click().run()
    assert not page.exception
    assert page.session_state["film"][1].startswith(b"GIF89a")


@pytest.mark.parametrize("spoil", [None, float("nan")])
@pytest.mark.parametrize("view", ["Confusion", "Trust", "Robustness", "Map"])
def test_every_view_of_the_mistakes(view: str, spoil: float | None) -> None:
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
    assert "right of 10,000 test images" in html_of(page)
    page.select_slider(key=f"mistakes-step-{run.id}").set_value(0).run()
    assert not page.exception
    assert "right of 1,000 test images" in html_of(page)
    page.toggle(key="mistakes-all").set_value(True).run()
    assert "right of 10,000 test images" in html_of(page)
