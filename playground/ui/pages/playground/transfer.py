"""Transfer: begin with the weights of another run, freeze layers, and see what that gains."""

import streamlit as st

from playground.core.summary import summarize
from playground.engine.data.registry import FEWEST_STEPS, dataset_for
from playground.engine.runs.repository import all_runs
from playground.engine.runs.run import PRETRAINED, Run
from playground.engine.runs.transfer import fitting_weights, last_step
from playground.errors import PlaygroundError
from playground.ui import html as markup
from playground.ui.actions import is_active, set_recipe, start_both
from playground.ui.services import pretrained
from playground.ui.state import AppState, app_state, run_history

_SCRATCH = ""


def transfer_popover(state: AppState) -> None:
    """Whose weights to begin with, which layers stay as they are, and how fast the old ones learn."""
    popover = st.popover(
        "Transfer",
        key="transfer",
        on_change="rerun",
        help="Begin with what another run has learnt: its first layers know edges and strokes already.",
    )
    if not popover.open:
        return
    with popover:
        parent = _parent(state)
        if parent is None:
            markup.hint("Choose a run, take its network, give it your data set: only the last layer begins anew.")
            return
        _network(state, parent)
        _fitting(state, parent)
        left, right = st.columns(2)
        with left:
            _freezing(state)
        with right:
            _few(state)
        _share(state)
        st.button(
            "Train this, and from scratch too",
            key="transfer-both",
            type="primary",
            on_click=start_both,
            help="Two runs with the same recipe, one after the other: what was brought along is the difference.",
        )


def transfer_line(state: AppState) -> None:
    """Whose weights the next run begins with, as long as that is so; and what would stay as it is drawn."""
    parent = state.begins_with
    frozen = sum(1 for layer in state.architecture.layers if layer.enabled and not layer.trainable)
    if parent is None and not frozen:
        return
    layers = f"{frozen} layer{'s' if frozen > 1 else ''}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="transfer-line"):
        if parent is not None:
            words = f", {layers} frozen" if frozen else ""
            markup.hint(f"The next run begins with the weights of {parent.record.name}{words}.")
        else:
            markup.hint(f"{layers} frozen: a new run leaves {'them' if frozen > 1 else 'it'} at random weights.")
        st.button("From scratch", key="transfer-off", type="tertiary", on_click=_forget, help="Every layer learns.")


def scratch_of(run: Run | None) -> Run | None:
    """For a run that began with weights and was measured: the newest one of the same net and recipe without any."""
    if run is None or run.record.parent is None or not run.material_path.exists() or run_history(run).test is None:
        return None
    digest, recipe = run.record.architecture.frozen_up_to(-1).digest, run.record.recipe.digest
    for other in all_runs()[0]:
        same = other.record.recipe.digest == recipe and other.record.architecture.digest == digest
        if same and not other.material_path.exists() and (run_history(other).test or is_active(other)):
            return other
    return None


def gain_line(run: Run | None) -> None:
    """Of a run with weights brought along that is over: how the same does from scratch, if that is trained too."""
    scratch = scratch_of(run)
    after = run_history(run).test if scratch else None
    if scratch is None or after is None:
        return
    before = run_history(scratch).test
    if before is None:
        markup.line(f"{after.accuracy:.1%} with the weights brought along. Now the same from scratch …")
        return
    points = (after.accuracy - before.accuracy) * 100
    markup.line(
        f"{after.accuracy:.1%} with the weights brought along, {before.accuracy:.1%} from scratch "
        f"({scratch.record.name}): {points:+.1f} points.",
        behind={"transferred": after.accuracy, "scratch": before.accuracy},
    )


def _parent(state: AppState) -> Run | None:
    runs = {run.id: run for run in (pretrained(), *all_runs()[0]) if run.snapshots()}
    st.session_state["transfer-parent"] = state.begin_with if state.begin_with in runs else _SCRATCH

    def choose() -> None:
        app_state().begin(st.session_state["transfer-parent"] or None)

    chosen = st.selectbox(
        "Begin with the weights of",
        [_SCRATCH, *runs],
        key="transfer-parent",
        format_func=lambda name: (
            "nothing: from scratch"
            if name == _SCRATCH
            else "Pretrained model"
            if name == PRETRAINED
            else runs[name].record.name
        ),
        on_change=choose,
    )
    return runs.get(chosen)


def _network(state: AppState, parent: Run) -> None:
    net = parent.record.architecture.with_new_head(len(dataset_for(state.recipe, state.architecture).class_names))
    st.button(
        "Take its network, with a new output",
        key="transfer-network",
        on_click=state.edit,
        args=(net,),
        disabled=net.digest == state.architecture.digest,
        help="Its layers, for the data set that is chosen, with an output for its classes. Undo brings yours back.",
    )


def _fitting(state: AppState, parent: Run) -> None:
    try:
        _, taken = fitting_weights(parent, last_step(parent), state.architecture, state.recipe.dataset)
    except PlaygroundError as problem:
        markup.problem(problem)
        return
    rows = summarize(state.architecture).rows
    names = ", ".join(f"{rows[index].index + 1} {rows[index].title}" for index in taken)
    if taken:
        rest = any(row.parameters and row.index not in taken for row in rows)
        markup.hint(f"Brought along: {names}. {'The rest begins anew.' if rest else 'That is all of it.'}")
    else:
        markup.line("None of its layers fits this network: take its network first.", kind="warn")


def _freezing(state: AppState) -> None:
    rows = [row for row in summarize(state.architecture).rows if row.enabled and row.parameters]
    frozen = [row.index for row in rows if not state.architecture.layers[row.index].trainable]
    st.session_state["transfer-freeze"] = max(frozen, default=-1)

    def choose() -> None:
        now = app_state()
        now.attempt(lambda: now.architecture.frozen_up_to(int(st.session_state["transfer-freeze"])))

    titles = {row.index: f"up to {row.index + 1} {row.title} {row.detail}" for row in rows[:-1]}
    st.selectbox(
        "Frozen",
        [-1, *titles],
        key="transfer-freeze",
        format_func=lambda index: titles.get(index, "nothing"),
        on_change=choose,
        help="Frozen layers stay as they are: a fixed extractor of features. Each layer has a switch of its own too.",
    )


def _share(state: AppState) -> None:
    st.session_state["transfer-share"] = state.recipe.transferred_lr_share
    st.slider(
        "Learning rate of the old layers, as a share",
        0.0,
        1.0,
        step=0.05,
        key="transfer-share",
        on_change=lambda: set_recipe("transferred_lr_share", st.session_state["transfer-share"]),
        help="Smaller: what they know is changed with care.",
    )


def _few(state: AppState) -> None:
    classes = state.architecture.classes
    st.session_state["transfer-few"] = max(1, state.recipe.limit // classes) if state.recipe.limit else None

    def choose() -> None:
        few = st.session_state["transfer-few"]
        limit = max(10, int(few) * classes) if few else None
        set_recipe("limit", limit)
        if limit is not None and state.recipe.batch_size > limit // FEWEST_STEPS:
            set_recipe("batch_size", max(2, limit // FEWEST_STEPS))  # else an epoch would be a step or two

    st.number_input(
        "Images of each class",
        min_value=1,
        step=5,
        key="transfer-few",
        value=None,
        placeholder="all",
        on_change=choose,
        help="With few, what was brought along counts most.",
    )
    if state.recipe.limit:
        markup.hint(f"{state.recipe.limit:,} images in batches of {state.recipe.batch_size}: settings of the recipe.")


def _forget() -> None:
    state = app_state()
    state.begin(None, state.architecture.frozen_up_to(-1), state.recipe.changed(transferred_lr_share=1.0))
