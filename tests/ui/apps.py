"""Helpers for tests of pages with Streamlit's AppTest."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Widget

from playground.core.events import CheckpointSaved, Command, Diagnosed, Event, RunEnded, Suggestion
from playground.core.layers import Layer
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.engine.runs.recorder import save_checkpoint
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.training.trainer import Trainer
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.scheduler import Scheduler
from playground.ui import services
from playground.ui.components.preset_gallery import PresetCard
from playground.ui.pages.playground import preset_gallery
from playground.ui.state import AppState
from tests.narrowing import require_type
from tests.run_events import make_batch, write_log

LayerT = TypeVar("LayerT", bound=Layer)
WidgetT = TypeVar("WidgetT", bound=Widget)

SCRIPT = str(Path(__file__).parents[2] / "app.py")


class NoWorkers(Scheduler):
    """Scheduler that starts no process."""

    def __init__(self, *, limits: ServerLimits) -> None:
        super().__init__(limits=limits.model_copy(update={"max_running": 0}), keep_spare_worker=False)


def state_of(app: AppTest) -> AppState:
    state: AppState = app.session_state["playground"]
    return state


def html_of(app: AppTest) -> str:
    bodies = (element.proto.body for element in app.get("html"))
    return " ".join(body for body in bodies if not body.startswith("<style>"))


def get_layer(app: AppTest, index: int, kind: type[LayerT]) -> LayerT:
    layer = state_of(app).editor.architecture.layers[index]
    return require_type(layer, kind)


def choose_preset(app: AppTest, name: str, *, gallery: str = "architecture-preset") -> None:
    """Open the gallery of presets and click a card; AppTest renders no components."""

    def click_card(
        cards: Sequence[PresetCard], *, key: str, selected: str | None, on_select: Callable[[str], None]
    ) -> None:
        assert name in {card.name for card in cards}
        on_select(name)
        st.rerun()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preset_gallery, "render_preset_gallery", click_card)
        app.button(key=gallery).click().run()


def find(widgets: Iterable[WidgetT], name: str) -> WidgetT:
    """Find the widget bound under ``name``; its key has a suffix after the page changed its value."""
    (found,) = (widget for widget in widgets if str(widget.key) == name or str(widget.key).startswith(f"{name}."))
    return found


def echo(app: AppTest, states: WidgetStates) -> None:
    """Rerun the app with earlier values of its widgets, as a browser does that has not received the new ones yet."""
    app._run(states)


def create_run_with(*events: Event, owner: str | None = None, net: str = "tiny", recipe: Recipe | None = None) -> Run:
    """Create a run with these events in its log."""
    recipe = recipe or get_recipe_preset("tutorial").recipe
    run = create_run(get_architecture_preset(net).architecture, recipe, owner=owner)
    write_log(run, *events)
    return run


def get_queued_commands(run: Run) -> tuple[Command, ...]:
    return services.get_scheduler().get_queued_commands(run.id)


def create_forkable_run(*, recipe: Recipe | None = None) -> Run:
    """Create a run with two checkpoints of an untrained network."""
    run = create_run_with(
        make_batch(5, 0.5),
        CheckpointSaved(step=5, elapsed_s=1),
        RunEnded(step=5, elapsed_s=1, status="stopped"),
        recipe=recipe,
    )
    checkpoint = Trainer(run.record.architecture, run.record.recipe).create_checkpoint()
    for step in (3, 5):
        log_bytes = run.log_path.stat().st_size
        save_checkpoint(run, checkpoint | {"step": step, "position": 32 * step, "log_bytes": log_bytes})
    return run


def make_diagnosis(suggestion: Suggestion) -> Diagnosed:
    return Diagnosed(step=5, elapsed_s=1, diagnosis="overfitting", message="Overfitting.", suggestion=suggestion)


def find_suggestion(app: AppTest) -> Any:
    (button,) = (button for button in app.button if str(button.key).startswith("suggestion-"))
    return button
