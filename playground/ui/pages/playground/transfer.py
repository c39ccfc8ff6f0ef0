"""Transfer: begin with the weights of another run, freeze layers, and see what that gains."""

import streamlit as st

from playground.core.summary import summarize
from playground.engine.data.registry import MIN_STEPS_PER_EPOCH, resolve_dataset
from playground.engine.runs.repository import list_runs
from playground.engine.runs.run import PRETRAINED, Run
from playground.engine.runs.transfer import find_transferable_weights, get_last_snapshot_step
from playground.errors import PlaygroundError
from playground.ui import html
from playground.ui.actions import is_active, set_recipe_field, start_transfer_comparison
from playground.ui.services import get_pretrained
from playground.ui.state import AppState, get_app_state, get_run_history

_FROM_SCRATCH = ""


def render_transfer_popover(state: AppState) -> None:
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
        parent = _choose_parent(state)
        if parent is None:
            html.render_hint("Choose a run, take its network, give it your data set: only the last layer begins anew.")
            return
        _render_use_network_button(state, parent)
        _render_transferable_weights(state, parent)
        left, right = st.columns(2)
        with left:
            _render_freeze_choice(state)
        with right:
            _render_images_per_class(state)
        _render_lr_scale(state)
        st.button(
            "Train this, and from scratch too",
            key="transfer-both",
            type="primary",
            on_click=start_transfer_comparison,
            help="Two runs with the same recipe, one after the other: what was brought along is the difference.",
        )


def render_transfer_notice(state: AppState) -> None:
    """Whose weights the next run begins with, as long as that is so; and what would stay as it is drawn."""
    parent = state.editor.find_parent_run()
    frozen = sum(1 for layer in state.editor.architecture.layers if layer.enabled and not layer.trainable)
    if parent is None and not frozen:
        return
    layers = f"{frozen} layer{'s' if frozen > 1 else ''}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="transfer-line"):
        if parent is not None:
            words = f", {layers} frozen" if frozen else ""
            html.render_hint(f"The next run begins with the weights of {parent.record.name}{words}.")
        else:
            html.render_hint(f"{layers} frozen: a new run leaves {'them' if frozen > 1 else 'it'} at random weights.")
        st.button(
            "From scratch", key="transfer-off", type="tertiary", on_click=_reset_transfer, help="Every layer learns."
        )


def find_scratch_run(run: Run | None) -> Run | None:
    """For a run that began with weights and was measured: the newest one of the same net and recipe without any."""
    if (
        run is None
        or run.record.parent is None
        or not run.initial_state_path.exists()
        or get_run_history(run).test is None
    ):
        return None
    digest, recipe = run.record.architecture.freeze_up_to(-1).digest, run.record.recipe.digest
    for other in list_runs()[0]:
        same = other.record.recipe.digest == recipe and other.record.architecture.digest == digest
        if same and not other.initial_state_path.exists() and (get_run_history(other).test or is_active(other)):
            return other
    return None


def render_transfer_comparison(run: Run | None) -> None:
    """Of a run with weights brought along that is over: how the same does from scratch, if that is trained too."""
    scratch = find_scratch_run(run)
    after = get_run_history(run).test if scratch else None
    if scratch is None or after is None:
        return
    before = get_run_history(scratch).test
    if before is None:
        html.render_message(f"{after.accuracy:.1%} with the weights brought along. Now the same from scratch …")
        return
    points = (after.accuracy - before.accuracy) * 100
    html.render_message(
        f"{after.accuracy:.1%} with the weights brought along, {before.accuracy:.1%} from scratch "
        f"({scratch.record.name}): {points:+.1f} points.",
        details={"transferred": after.accuracy, "scratch": before.accuracy},
    )


def _choose_parent(state: AppState) -> Run | None:
    runs = {run.id: run for run in (get_pretrained(), *list_runs()[0]) if run.list_snapshot_steps()}
    st.session_state["transfer-parent"] = state.editor.init_from if state.editor.init_from in runs else _FROM_SCRATCH

    def store_choice() -> None:
        get_app_state().set_init_from(st.session_state["transfer-parent"] or None)

    chosen = st.selectbox(
        "Begin with the weights of",
        [_FROM_SCRATCH, *runs],
        key="transfer-parent",
        format_func=lambda name: (
            "nothing: from scratch"
            if name == _FROM_SCRATCH
            else "Pretrained model"
            if name == PRETRAINED
            else runs[name].record.name
        ),
        on_change=store_choice,
    )
    return runs.get(chosen)


def _render_use_network_button(state: AppState, parent: Run) -> None:
    net = parent.record.architecture.with_new_head(
        len(resolve_dataset(state.editor.recipe, state.editor.architecture).class_names)
    )
    st.button(
        "Take its network, with a new output",
        key="transfer-network",
        on_click=state.set_architecture,
        args=(net,),
        disabled=net.digest == state.editor.architecture.digest,
        help="Its layers, for the data set that is chosen, with an output for its classes. Undo brings yours back.",
    )


def _render_transferable_weights(state: AppState, parent: Run) -> None:
    try:
        _, taken = find_transferable_weights(
            parent, get_last_snapshot_step(parent), state.editor.architecture, state.editor.recipe.dataset
        )
    except PlaygroundError as problem:
        html.render_error(problem)
        return
    rows = summarize(state.editor.architecture).layers
    names = ", ".join(f"{rows[index].index + 1} {rows[index].title}" for index in taken)
    if taken:
        rest = any(row.parameters and row.index not in taken for row in rows)
        html.render_hint(f"Brought along: {names}. {'The rest begins anew.' if rest else 'That is all of it.'}")
    else:
        html.render_message("None of its layers fits this network: take its network first.", severity="warn")


def _render_freeze_choice(state: AppState) -> None:
    rows = [row for row in summarize(state.editor.architecture).layers if row.enabled and row.parameters]
    frozen = [row.index for row in rows if not state.editor.architecture.layers[row.index].trainable]
    st.session_state["transfer-freeze"] = max(frozen, default=-1)

    def store_choice() -> None:
        now = get_app_state()
        now.try_set_architecture(lambda: now.editor.architecture.freeze_up_to(int(st.session_state["transfer-freeze"])))

    titles = {row.index: f"up to {row.index + 1} {row.title} {row.arguments_text}" for row in rows[:-1]}
    st.selectbox(
        "Frozen",
        [-1, *titles],
        key="transfer-freeze",
        format_func=lambda index: titles.get(index, "nothing"),
        on_change=store_choice,
        help="Frozen layers stay as they are: a fixed extractor of features. Each layer has a switch of its own too.",
    )


def _render_lr_scale(state: AppState) -> None:
    st.session_state["transfer-share"] = state.editor.recipe.transferred_lr_scale
    st.slider(
        "Learning rate of the old layers, as a share",
        0.0,
        1.0,
        step=0.05,
        key="transfer-share",
        on_change=lambda: set_recipe_field("transferred_lr_scale", st.session_state["transfer-share"]),
        help="Smaller: what they know is changed with care.",
    )


def _render_images_per_class(state: AppState) -> None:
    classes = state.editor.architecture.classes
    st.session_state["transfer-few"] = (
        max(1, state.editor.recipe.limit // classes) if state.editor.recipe.limit else None
    )

    def store_choice() -> None:
        few = st.session_state["transfer-few"]
        limit = max(10, int(few) * classes) if few else None
        set_recipe_field("limit", limit)
        if limit is not None and state.editor.recipe.batch_size > limit // MIN_STEPS_PER_EPOCH:
            set_recipe_field("batch_size", max(2, limit // MIN_STEPS_PER_EPOCH))  # else an epoch would be a step or two

    st.number_input(
        "Images of each class",
        min_value=1,
        step=5,
        key="transfer-few",
        value=None,
        placeholder="all",
        on_change=store_choice,
        help="With few, what was brought along counts most.",
    )
    if state.editor.recipe.limit:
        html.render_hint(
            f"{state.editor.recipe.limit:,} images in batches of {state.editor.recipe.batch_size}: settings of the recipe."
        )


def _reset_transfer() -> None:
    state = get_app_state()
    state.set_init_from(
        None, state.editor.architecture.freeze_up_to(-1), state.editor.recipe.replace(transferred_lr_scale=1.0)
    )
