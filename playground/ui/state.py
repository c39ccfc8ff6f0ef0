"""What one browser session has in hand: values, not widgets, so that it survives page changes and undo is a list."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.share_link import decode_link
from playground.engine.data.custom.archive import SkippedFile
from playground.engine.data.rasterize import MNIST_PREPROCESSING, Preprocessing
from playground.engine.runs.run import Run
from playground.errors import ArchitectureError, PlaygroundError, RecipeError
from playground.interpret.editing import Edit
from playground.ui.canvas import Ink, Stroke, read_canvas
from playground.ui.services import find_run_or_none, get_browser_id, get_scheduler

_STATE_KEY = "playground"
_MAX_UNDO_STEPS = 50
_MAX_WORKSPACES = 256
CANVAS_SIZE = 240


@dataclass(frozen=True)
class ImageUpload:
    """An uploaded picture: its file's name and what that holds."""

    name: str
    content: bytes


@dataclass(frozen=True)
class UndoEntry:
    """What an edit replaced: a network, whose weights it begins with, and the recipe's values that went with it."""

    architecture: Architecture
    init_from: str | None
    recipe_values: dict[str, Any] = field(default_factory=dict)


@dataclass
class AppState:
    """Everything a session remembers; one object in Streamlit's session state.

    ``fitted_and_requested_recipe``: a recipe that was cut down to what its data set can give, and the recipe that it stands for.
    """

    architecture: Architecture
    recipe: Recipe
    undo_stack: list[UndoEntry] = field(default_factory=list)
    redo_stack: list[UndoEntry] = field(default_factory=list)
    open_layer_id: str | None = None
    preset_name: str | None = None
    fitted_and_requested_recipe: tuple[Recipe, Recipe] | None = None
    init_from: str | None = None
    import_result: tuple[str, ...] | PlaygroundError | None = None
    run_id: str | None = None
    training_error: Exception | None = None
    fork_error: Exception | None = None
    fork_step: int | None = None
    fork_changes: dict[str, Any] = field(default_factory=dict)
    network_error: Exception | None = None
    ink: Ink = field(default_factory=Ink)
    is_erasing: bool = False
    canvas_revision: int = 0
    test_index: int | None = None
    upload: ImageUpload | None = None
    drawing_undo_stack: list[tuple[Ink, int | None, ImageUpload | None]] = field(default_factory=list)
    upload_error: PlaygroundError | None = None
    teach_error: PlaygroundError | None = None
    pen_width: int = 17
    preprocessing: Preprocessing = MNIST_PREPROCESSING
    inspect_layer_id: str | None = None
    viewed_run_id: str | None = None
    inspect_input_source: str = "Drawing"
    inspect_test_index: int = 0
    inspect_view: str = "Maps"
    inspect_channel: int | None = None
    inspect_position: tuple[str, int, int, int] | None = None
    selected_steps: dict[str, int | None] = field(default_factory=dict)
    is_playing: bool = False
    next_frame_at: float = 0.0
    edits: dict[str, tuple[Edit, ...]] = field(default_factory=dict)
    edit_error: Exception | None = None
    confusion_cell: tuple[int, int] | None = None
    viewed_dataset_name: str | None = None
    dataset_upload_result: tuple[int, tuple[SkippedFile, ...]] | PlaygroundError | None = None
    extraction_task_key: tuple[str, ...] | None = None
    class_drawings: dict[str, tuple[tuple[Stroke, ...], ...]] = field(default_factory=dict)
    class_ink: Ink = field(default_factory=Ink)
    class_canvas_revision: int = 0
    class_error: PlaygroundError | None = None
    drawn_dataset_sizes: tuple[int, int] | None = None

    def copy_for_new_tab(self) -> "AppState":
        """What another tab, or this one reloaded, begins with; from then on each goes its own way."""
        return replace(
            self,
            is_playing=False,
            fork_changes=dict(self.fork_changes),
            selected_steps=dict(self.selected_steps),
            edits=dict(self.edits),
        )

    # The network

    def set_architecture(self, architecture: Architecture, recipe: Recipe | None = None) -> None:
        """Take another architecture, or one with its recipe, remembering what there was for undo."""
        self.set_init_from(self.init_from, architecture, recipe)

    def set_init_from(
        self, init_from: str | None, architecture: Architecture | None = None, recipe: Recipe | None = None
    ) -> None:
        """Choose whose weights the next run begins with, and another architecture with that, or a recipe."""
        values = _diff_recipes(recipe, self.recipe) if recipe else {}
        draft = UndoEntry(architecture or self.architecture, init_from, values)
        if draft == UndoEntry(self.architecture, self.init_from):
            return
        self.undo_stack = [*self.undo_stack[-_MAX_UNDO_STEPS:], self._apply_undo_entry(draft)]
        self.redo_stack = []
        self.training_error = self.network_error = None

    def try_set_architecture(self, make_architecture: Callable[[], Architecture]) -> None:
        """Edit, or keep what there is and say what is wrong with the edit."""
        try:
            self.set_architecture(make_architecture())
            self.network_error = None
        except PlaygroundError as problem:
            self.network_error = problem

    def undo(self) -> None:
        """Back to what there was before the last edit."""
        self.network_error = None
        if self.undo_stack:
            *self.undo_stack, draft = self.undo_stack
            self.redo_stack = [*self.redo_stack, self._apply_undo_entry(draft)]

    def redo(self) -> None:
        """What was undone last."""
        self.network_error = None
        if self.redo_stack:
            *self.redo_stack, draft = self.redo_stack
            self.undo_stack = [*self.undo_stack, self._apply_undo_entry(draft)]

    def _apply_undo_entry(self, entry: UndoEntry) -> UndoEntry:
        """Take a draft; returns what brings back what it replaced."""
        values = {name: getattr(self.recipe, name) for name in entry.recipe_values}
        before = UndoEntry(self.architecture, self.init_from, values)
        self.architecture, self.init_from = entry.architecture, entry.init_from
        self.recipe = self.recipe.replace(**entry.recipe_values)
        return before

    # The run

    @property
    def parent_run(self) -> Run | None:
        """The run whose weights the next one begins with, as long as that is there."""
        return find_run_or_none(self.init_from)

    @property
    def run(self) -> Run | None:
        """The run that the page is attached to."""
        return find_run_or_none(self.run_id)

    def attach(self, run: Run, *, load_into_editor: bool = False) -> None:
        """Show this run; ``load_into_editor``: put its network and recipe into the editor too."""
        self.run_id, self.viewed_run_id = run.id, None
        self.training_error = self.fork_error = None
        self.fork_step, self.fork_changes = None, {}
        st.query_params["run"] = run.id
        if load_into_editor:
            self.set_init_from(None, get_current_architecture(run), get_current_recipe(run))

    def detach(self) -> None:
        """Show no run; it stays in the list of runs."""
        self.run_id = None
        self.training_error = self.fork_error = None
        st.query_params.pop("run", None)

    # The canvas

    def sync_canvas(self) -> None:
        """Take what is on the canvas, the newest stroke included; callbacks run before the canvas does."""
        now = read_canvas(revision=self.canvas_revision)
        if now is not None:
            self.record_drawing(now)

    def record_drawing(self, ink: Ink) -> None:
        """Remember what was drawn or erased, stroke by stroke, for undo."""
        before, count = self.ink, len(self.ink.strokes)
        if ink == before:
            return
        grew = ink.eraser_strokes == before.eraser_strokes and ink.strokes[:count] == before.strokes
        steps = [Ink(ink.strokes[:n], ink.eraser_strokes) for n in range(count, len(ink.strokes))] if grew else [before]
        self._push_drawing_undo(*steps)
        self.ink = ink

    def replace_drawing(self, *, test_index: int | None = None, upload: ImageUpload | None = None) -> None:
        """Put something else on the canvas: nothing, a test image or an uploaded picture."""
        self.sync_canvas()
        if (self.ink, self.test_index, self.upload) != (Ink(), test_index, upload):
            self._push_drawing_undo(self.ink)
        self._set_canvas(Ink(), test_index, upload)

    def undo_drawing(self) -> None:
        """Back to the canvas before the last stroke, erasing, clearing or other picture."""
        self.sync_canvas()
        if self.drawing_undo_stack:
            *self.drawing_undo_stack, last = self.drawing_undo_stack
            self._set_canvas(*last)

    def open_test_image(self, index: int, *, run_id: str | None = None, layer_id: str | None = None) -> None:
        """Have Look inside show a test image, of a run and at a layer if these are given."""
        self.inspect_input_source, self.inspect_test_index = "Test image", index
        self.viewed_run_id = run_id or self.viewed_run_id
        self.inspect_layer_id = layer_id or self.inspect_layer_id

    def _push_drawing_undo(self, *steps: Ink) -> None:
        self.drawing_undo_stack = [*self.drawing_undo_stack, *((ink, self.test_index, self.upload) for ink in steps)]
        self.drawing_undo_stack = self.drawing_undo_stack[-_MAX_UNDO_STEPS:]

    def _set_canvas(self, ink: Ink, test_index: int | None, upload: ImageUpload | None) -> None:
        self.ink, self.test_index, self.upload = ink, test_index, upload
        self.canvas_revision += 1


def get_app_state() -> AppState:
    """The state of this session.

    A page that was reloaded goes on with what its browser had; any other finds the run named in its address, else the
    one that is going on.
    """
    if _STATE_KEY not in st.session_state:
        st.session_state[_STATE_KEY] = _create_state()
    state: AppState = st.session_state[_STATE_KEY]
    if state.run_id and st.query_params.get("run") != state.run_id:
        st.query_params["run"] = state.run_id  # lost at every change of page
    return state


@st.cache_resource(show_spinner=False)
def _get_workspaces() -> OrderedDict[str, AppState]:
    return OrderedDict()


def _create_state() -> AppState:
    token = get_browser_id()
    workspaces = _get_workspaces()
    known = workspaces.get(token) if token else None
    state = (
        known.copy_for_new_tab()
        if known
        else AppState(get_architecture_preset("guide").architecture, get_recipe_preset("sprint").recipe)
    )
    if token:
        workspaces[token] = state
        workspaces.move_to_end(token)
        while len(workspaces) > _MAX_WORKSPACES:
            workspaces.popitem(last=False)
    named = find_run_or_none(st.query_params.get("run"))
    if named and named.id != st.query_params.get("run"):
        named = None  # an address names a run by its whole id
    active = get_scheduler().list_active_runs()
    link = st.query_params.get("net")
    if link:
        _load_share_link(state, link)
    elif named and named.id != state.run_id:
        state.attach(named, load_into_editor=True)
    elif not known and active:
        state.attach(active[0], load_into_editor=True)
    return state


def _diff_recipes(recipe: Recipe, other: Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe if value != getattr(other, name)}


def _load_share_link(state: AppState, link: str) -> None:
    """The network and the recipe that a link carries; what is wrong with it is said on the page."""
    st.query_params.pop("net", None)
    try:
        architecture, recipe = decode_link(link)
    except PlaygroundError as problem:
        state.network_error = problem
        return
    state.detach()
    state.set_init_from(None, architecture, recipe)


def get_run_history(run: Run | None) -> History:
    """The run's history so far; an empty one without a run."""
    return get_scheduler().get_log_reader(run).read_history() if run else History()


def get_current_recipe(run: Run) -> Recipe:
    """The recipe with the knobs as they stand now."""
    knobs = {knob: value for knob, value in get_run_history(run).changed_hyperparameters.items() if knob != "dropout"}
    try:
        return run.record.recipe.update_hyperparameters(knobs)
    except RecipeError:  # a log that was edited by hand, or written by another version
        return run.record.recipe


def get_current_architecture(run: Run) -> Architecture:
    """The network with the dropout rates as they stand now."""
    architecture = run.record.architecture
    try:
        return architecture.with_dropout_rates(
            get_run_history(run).changed_hyperparameters.get("dropout", architecture.dropout_rates)
        )
    except (ArchitectureError, TypeError):  # as above
        return architecture
