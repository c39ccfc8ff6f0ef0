"""State of one browser session. It survives page changes and reloads, and it holds values, not widgets."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import streamlit as st

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.core.share_link import decode_link
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError, RecipeError, UnknownNameError
from playground.ui.page_states import (
    DataState,
    DrawingState,
    EditorState,
    InspectState,
    MistakesState,
    TrainingState,
)
from playground.ui.services import find_run_or_none, get_browser_id, get_scheduler

_STATE_KEY = "playground"
_MAX_WORKSPACES = 256
CANVAS_SIZE = 240


@dataclass
class AppState:
    """The state of every page, and the changes that concern several of them.

    ``notice``: an error that concerns no single page, such as an address of an unknown run.
    """

    editor: EditorState
    training: TrainingState = field(default_factory=TrainingState)
    drawing: DrawingState = field(default_factory=DrawingState)
    inspect: InspectState = field(default_factory=InspectState)
    mistakes: MistakesState = field(default_factory=MistakesState)
    data: DataState = field(default_factory=DataState)
    has_shortcuts: bool = True
    notice: PlaygroundError | None = None

    def copy_for_new_tab(self) -> "AppState":
        """Copy the state for another tab or a reloaded page; later changes are not shared."""
        return AppState(
            replace(self.editor),
            replace(self.training, fork_changes=dict(self.training.fork_changes)),
            replace(self.drawing),
            replace(
                self.inspect,
                is_playing=False,
                selected_steps=dict(self.inspect.selected_steps),
                edits=dict(self.inspect.edits),
            ),
            replace(self.mistakes),
            replace(self.data),
            self.has_shortcuts,
        )

    def set_architecture(self, architecture: Architecture, recipe: Recipe | None = None) -> None:
        """Replace the network in the editor, and the recipe if given; can be undone."""
        self.set_init_from(self.editor.init_from, architecture, recipe)

    def set_init_from(
        self, init_from: str | None, architecture: Architecture | None = None, recipe: Recipe | None = None
    ) -> None:
        """Choose the run whose weights the next run starts from, and a network and recipe if given; can be undone."""
        if self.editor.replace(init_from=init_from, architecture=architecture, recipe=recipe):
            self.training.error = None

    def try_set_architecture(self, make_architecture: Callable[[], Architecture]) -> None:
        """Apply an edit; an invalid one changes nothing and leaves its error in ``editor.error``."""
        try:
            self.set_architecture(make_architecture())
            self.editor.error = None
        except PlaygroundError as error:
            self.editor.error = error

    def attach(self, run: Run, *, init_from: str | None = None) -> None:
        """Show this run, and put its network and recipe into the editor; can be undone.

        The controls of an active run change it, so they always start from its own settings. ``init_from``: the run
        that its initial weights come from, as chosen in the editor.
        """
        settings = get_current_settings(run)
        self.training = TrainingState(run.id, known_settings=settings)
        self.inspect.run_id = None
        st.query_params["run"] = run.id
        self.set_init_from(init_from, *settings)

    def sync_with_run(self) -> bool:
        """Take over live hyperparameters that were changed elsewhere, except those that were changed in this editor.

        Returns True if the editor changed.
        """
        run = self.training.find_run()
        if run is None or self.training.known_settings is None:
            return False
        settings = get_current_settings(run)
        if settings == self.training.known_settings:
            return False
        (known_architecture, known_recipe), (architecture, recipe) = self.training.known_settings, settings
        self.training.known_settings = settings
        before = self.editor.architecture, self.editor.recipe
        with suppress(RecipeError):  # the editor's own change does not fit the new values
            self.editor.recipe = self.editor.recipe.rebase(known_recipe, recipe)
        edited = self.editor.architecture
        if edited.is_equal_except_dropout_rates(architecture):
            rates = zip(edited.dropout_rates, known_architecture.dropout_rates, architecture.dropout_rates, strict=True)
            self.editor.architecture = edited.with_dropout_rates(
                [own if own != known else current for own, known, current in rates]
            )
        return before != (self.editor.architecture, self.editor.recipe)

    def get_viewed_run_id(self, *, follows_inspect: bool) -> str | None:
        """Return the id of the run that a page shows: the attached one, or on Inspect and Mistakes the chosen one."""
        return (self.inspect.run_id if follows_inspect else None) or self.training.run_id

    def show_in_address(self, run_id: str | None) -> None:
        """Put the id of a run into the page's address; a new session on this address shows the same."""
        if run_id in (None, PRETRAINED):
            st.query_params.pop("run", None)
        elif st.query_params.get("run") != run_id:
            st.query_params["run"] = run_id

    def detach(self) -> None:
        """Show no run; the run itself is kept."""
        self.training.run_id = None
        self.training.error = self.training.fork_error = None
        st.query_params.pop("run", None)


def get_app_state() -> AppState:
    """Return the state of this session.

    A reloaded page gets the state of its browser; a new one shows the run named in its address, else the active run.
    """
    if _STATE_KEY not in st.session_state:
        st.session_state[_STATE_KEY] = _create_state()
    state: AppState = st.session_state[_STATE_KEY]
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
        else AppState(EditorState(get_architecture_preset("guide").architecture, get_recipe_preset("sprint").recipe))
    )
    if token:
        workspaces[token] = state
        workspaces.move_to_end(token)
        while len(workspaces) > _MAX_WORKSPACES:
            workspaces.popitem(last=False)
    linked_run = _take_linked_run(state)
    active_runs = get_scheduler().list_active_runs()
    link = st.query_params.get("net")
    if link:
        _load_share_link(state, link)
    elif linked_run and linked_run.id not in (state.training.run_id, state.inspect.run_id):
        state.attach(linked_run)
    elif not known and active_runs:
        state.attach(active_runs[0])
    return state


def _take_linked_run(state: AppState) -> Run | None:
    """Find the run that the page's address names; an unknown one is removed from the address, with a notice."""
    run_id = st.query_params.get("run")
    run = find_run_or_none(run_id)
    if run is not None and run.id == run_id:  # an address must hold the whole id
        return run
    if run_id is not None:
        st.query_params.pop("run")
        if state.training.run_id == run_id:
            state.detach()
        state.notice = UnknownNameError(
            f"There is no run {run_id!r:.40}.",
            expected="The address names a run of this server.",
            fix="Choose a run on the Runs page; a deleted one is gone.",
        )
    return None


def _load_share_link(state: AppState, link: str) -> None:
    """Load the network and recipe of a share link; an error is shown in the Network panel."""
    st.query_params.pop("net", None)
    try:
        architecture, recipe = decode_link(link)
    except PlaygroundError as error:
        state.editor.error = error
        return
    state.detach()
    state.set_init_from(None, architecture, recipe)


def get_run_history(run: Run | None) -> History:
    """Read the run's history so far; an empty one without a run."""
    return get_scheduler().get_log_reader(run).read_history() if run else History()


def get_current_settings(run: Run) -> tuple[Architecture, Recipe]:
    """Return the network with the current dropout rates, and the recipe with the current live hyperparameters."""
    history = get_run_history(run)
    return run.get_current_architecture(history), run.get_current_recipe(history)
