"""What one browser session has in hand: values, not widgets, so that it survives page changes and undo is a list."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.presets import architecture_preset, recipe_preset
from playground.core.recipe import Recipe
from playground.core.share_link import from_link
from playground.engine.data.custom.archive import Skipped
from playground.engine.data.rasterize import AS_MNIST, Fitting
from playground.engine.runs.run import Run
from playground.errors import ArchitectureError, PlaygroundError, RecipeError
from playground.interpret.editing import Edit
from playground.ui.canvas import Ink, Stroke, drawn
from playground.ui.services import browser_token, run_or_none, supervisor

_KEY = "playground"
_MOST_UNDO = 50
_MOST_WORKSPACES = 256
CANVAS_SIZE = 240


@dataclass(frozen=True)
class Picture:
    """An uploaded picture: its file's name and what that holds."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Draft:
    """What an edit replaced: a network, whose weights it begins with, and the recipe's values that went with it."""

    architecture: Architecture
    begin_with: str | None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class AppState:
    """Everything a session remembers; one object in Streamlit's session state.

    ``wished``: a recipe that was cut down to what its data set can give, and the recipe that it stands for.
    """

    architecture: Architecture
    recipe: Recipe
    past: list[Draft] = field(default_factory=list)
    future: list[Draft] = field(default_factory=list)
    open_layer: str | None = None
    preset: str | None = None
    wished: tuple[Recipe, Recipe] | None = None
    begin_with: str | None = None
    exchange_said: tuple[str, ...] | PlaygroundError | None = None
    run_id: str | None = None
    training_error: Exception | None = None
    fork_error: Exception | None = None
    fork_step: int | None = None
    fork_changes: dict[str, Any] = field(default_factory=dict)
    network_error: Exception | None = None
    ink: Ink = field(default_factory=Ink)
    erasing: bool = False
    canvas_revision: int = 0
    test_index: int | None = None
    picture: Picture | None = None
    past_drawings: list[tuple[Ink, int | None, Picture | None]] = field(default_factory=list)
    picture_error: PlaygroundError | None = None
    teach_error: PlaygroundError | None = None
    pen_width: int = 17
    fitting: Fitting = AS_MNIST
    inside_layer: str | None = None
    inside_run: str | None = None
    inside_input: str = "Drawing"
    inside_test: int = 0
    inside_view: str = "Maps"
    inside_channel: int | None = None
    inside_place: tuple[str, int, int, int] | None = None
    moments: dict[str, int | None] = field(default_factory=dict)
    is_playing: bool = False
    plays_on_at: float = 0.0
    edits: dict[str, tuple[Edit, ...]] = field(default_factory=dict)
    operate_error: Exception | None = None
    mistakes_cell: tuple[int, int] | None = None
    data_name: str | None = None
    bring_said: tuple[int, tuple[Skipped, ...]] | PlaygroundError | None = None
    extraction: tuple[str, ...] | None = None
    classes: dict[str, tuple[tuple[Stroke, ...], ...]] = field(default_factory=dict)
    class_ink: Ink = field(default_factory=Ink)
    class_revision: int = 0
    class_error: PlaygroundError | None = None
    drawn_said: tuple[int, int] | None = None

    def for_another_page(self) -> "AppState":
        """What another tab, or this one reloaded, begins with; from then on each goes its own way."""
        return replace(
            self,
            is_playing=False,
            fork_changes=dict(self.fork_changes),
            moments=dict(self.moments),
            edits=dict(self.edits),
        )

    # The network

    def edit(self, architecture: Architecture, recipe: Recipe | None = None) -> None:
        """Take another architecture, or one with its recipe, remembering what there was for undo."""
        self.begin(self.begin_with, architecture, recipe)

    def begin(
        self, begin_with: str | None, architecture: Architecture | None = None, recipe: Recipe | None = None
    ) -> None:
        """Choose whose weights the next run begins with, and another architecture with that, or a recipe."""
        values = _differing(recipe, self.recipe) if recipe else {}
        draft = Draft(architecture or self.architecture, begin_with, values)
        if draft == Draft(self.architecture, self.begin_with):
            return
        self.past = [*self.past[-_MOST_UNDO:], self._taken(draft)]
        self.future = []
        self.training_error = self.network_error = None

    def attempt(self, edit: Callable[[], Architecture]) -> None:
        """Edit, or keep what there is and say what is wrong with the edit."""
        try:
            self.edit(edit())
            self.network_error = None
        except PlaygroundError as problem:
            self.network_error = problem

    def undo(self) -> None:
        """Back to what there was before the last edit."""
        self.network_error = None
        if self.past:
            *self.past, draft = self.past
            self.future = [*self.future, self._taken(draft)]

    def redo(self) -> None:
        """What was undone last."""
        self.network_error = None
        if self.future:
            *self.future, draft = self.future
            self.past = [*self.past, self._taken(draft)]

    def _taken(self, draft: Draft) -> Draft:
        """Take a draft; returns what brings back what it replaced."""
        values = {name: getattr(self.recipe, name) for name in draft.values}
        before = Draft(self.architecture, self.begin_with, values)
        self.architecture, self.begin_with = draft.architecture, draft.begin_with
        self.recipe = self.recipe.changed(**draft.values)
        return before

    # The run

    @property
    def begins_with(self) -> Run | None:
        """The run whose weights the next one begins with, as long as that is there."""
        return run_or_none(self.begin_with)

    @property
    def run(self) -> Run | None:
        """The run that the page is attached to."""
        return run_or_none(self.run_id)

    def attach(self, run: Run, *, adopt: bool = False) -> None:
        """Show this run; ``adopt``: put its network and recipe into the editor too."""
        self.run_id, self.inside_run = run.id, None
        self.training_error = self.fork_error = None
        self.fork_step, self.fork_changes = None, {}
        st.query_params["run"] = run.id
        if adopt:
            self.begin(None, present_architecture(run), present_recipe(run))

    def detach(self) -> None:
        """Show no run; it stays in the list of runs."""
        self.run_id = None
        self.training_error = self.fork_error = None
        st.query_params.pop("run", None)

    # The canvas

    def look_at_canvas(self) -> None:
        """Take what is on the canvas, the newest stroke included; callbacks run before the canvas does."""
        now = drawn(revision=self.canvas_revision)
        if now is not None:
            self.take(now)

    def take(self, ink: Ink) -> None:
        """Remember what was drawn or erased, stroke by stroke, for undo."""
        before, count = self.ink, len(self.ink.strokes)
        if ink == before:
            return
        grew = ink.erased == before.erased and ink.strokes[:count] == before.strokes
        steps = [Ink(ink.strokes[:n], ink.erased) for n in range(count, len(ink.strokes))] if grew else [before]
        self._remember(*steps)
        self.ink = ink

    def replace_drawing(self, *, test_index: int | None = None, picture: Picture | None = None) -> None:
        """Put something else on the canvas: nothing, a test image or an uploaded picture."""
        self.look_at_canvas()
        if (self.ink, self.test_index, self.picture) != (Ink(), test_index, picture):
            self._remember(self.ink)
        self._show(Ink(), test_index, picture)

    def undo_drawing(self) -> None:
        """Back to the canvas before the last stroke, erasing, clearing or other picture."""
        self.look_at_canvas()
        if self.past_drawings:
            *self.past_drawings, last = self.past_drawings
            self._show(*last)

    def open_test_image(self, index: int, *, run_id: str | None = None, layer_id: str | None = None) -> None:
        """Have Look inside show a test image, of a run and at a layer if these are given."""
        self.inside_input, self.inside_test = "Test image", index
        self.inside_run = run_id or self.inside_run
        self.inside_layer = layer_id or self.inside_layer

    def _remember(self, *steps: Ink) -> None:
        self.past_drawings = [*self.past_drawings, *((ink, self.test_index, self.picture) for ink in steps)]
        self.past_drawings = self.past_drawings[-_MOST_UNDO:]

    def _show(self, ink: Ink, test_index: int | None, picture: Picture | None) -> None:
        self.ink, self.test_index, self.picture = ink, test_index, picture
        self.canvas_revision += 1


def app_state() -> AppState:
    """The state of this session.

    A page that was reloaded goes on with what its browser had; any other finds the run named in its address, else the
    one that is going on.
    """
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _begin()
    state: AppState = st.session_state[_KEY]
    if state.run_id and st.query_params.get("run") != state.run_id:
        st.query_params["run"] = state.run_id  # lost at every change of page
    return state


@st.cache_resource(show_spinner=False)
def _workspaces() -> OrderedDict[str, AppState]:
    return OrderedDict()


def _begin() -> AppState:
    token = browser_token()
    workspaces = _workspaces()
    known = workspaces.get(token) if token else None
    state = (
        known.for_another_page()
        if known
        else AppState(architecture_preset("guide").architecture, recipe_preset("sprint").recipe)
    )
    if token:
        workspaces[token] = state
        workspaces.move_to_end(token)
        while len(workspaces) > _MOST_WORKSPACES:
            workspaces.popitem(last=False)
    named = run_or_none(st.query_params.get("run"))
    if named and named.id != st.query_params.get("run"):
        named = None  # an address names a run by its whole id
    active = supervisor().active()
    link = st.query_params.get("net")
    if link:
        _open_link(state, link)
    elif named and named.id != state.run_id:
        state.attach(named, adopt=True)
    elif not known and active:
        state.attach(active[0], adopt=True)
    return state


def _differing(recipe: Recipe, other: Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe if value != getattr(other, name)}


def _open_link(state: AppState, link: str) -> None:
    """The network and the recipe that a link carries; what is wrong with it is said on the page."""
    st.query_params.pop("net", None)
    try:
        architecture, recipe = from_link(link)
    except PlaygroundError as problem:
        state.network_error = problem
        return
    state.detach()
    state.begin(None, architecture, recipe)


def run_history(run: Run | None) -> History:
    """The run's history so far; an empty one without a run."""
    return supervisor().tail(run).history() if run else History()


def present_recipe(run: Run) -> Recipe:
    """The recipe with the knobs as they stand now."""
    knobs = {knob: value for knob, value in run_history(run).knobs.items() if knob != "dropout"}
    try:
        return run.record.recipe.with_knobs(knobs)
    except RecipeError:  # a log that was edited by hand, or written by another version
        return run.record.recipe


def present_architecture(run: Run) -> Architecture:
    """The network with the dropout rates as they stand now."""
    architecture = run.record.architecture
    try:
        return architecture.with_dropout_rates(run_history(run).knobs.get("dropout", architecture.dropout_rates))
    except (ArchitectureError, TypeError):  # as above
        return architecture
