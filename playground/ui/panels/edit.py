"""Operating on the net: channels scaled or switched off, kernels rewritten; the effect on the accuracy at once."""

import numpy as np
import streamlit as st

from playground.core.summary import LayerSummary
from playground.engine.metrics import Evaluation
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.weights import get_layer_weights
from playground.interpret.editing import (
    AblationScore,
    ChannelScale,
    Edit,
    KernelEdit,
    add_edit,
    apply_edits,
    compute_ablation_scores,
    has_editable_channels,
    measure_edits,
    save_edited,
)
from playground.interpret.evaluation.predictions import load_run_test_images
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.pages.inspect.top_activations import choose_channel
from playground.ui.progress import rerun_fragment_or_page, show_stop_button
from playground.ui.services import get_visitor_id
from playground.ui.state import AppState, get_app_state

_MAX_KERNEL_SIZE = 9
_MAX_LISTED = 12


def render_edit_notice(state: AppState, run: Run) -> None:
    """That the net on the page is not as it was trained, with the way back."""
    count = len(state.inspect.edits.get(run.id, ()))
    if not count:
        return
    markup.render_message(
        f"Operated on: {count} change{'s' if count > 1 else ''}. Look inside and Mistakes show the net with them."
    )
    st.button("Revert all", key="operate-revert", on_click=_revert_edits, args=(run.id,))


def render_edit_view(state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int) -> None:
    """Tools on the left, what they did on the right."""
    untouched = load_model(run, model.step)
    edits = state.inspect.edits.get(run.id, ())
    tools, outcome = st.columns([46, 54], gap="medium")
    with tools:
        if has_editable_channels(model.architecture, row.index):
            _render_tools(state, run, model, row, strongest_channel)
        else:
            markup.render_message(
                f"{row.title} cannot be operated on: choose a convolution, a linear layer, batch norm or the output."
            )
        if state.inspect.edit_error:
            markup.render_error(state.inspect.edit_error)
        _render_edit_list(run, untouched, edits)
    with outcome:
        _render_measured_edits(run, untouched, edits)
        if has_editable_channels(model.architecture, row.index):
            _render_ablation_scores(run, untouched, row)


def _revert_edits(run_id: str) -> None:
    state = get_app_state()
    state.inspect.edits.pop(run_id, None)
    state.inspect.edit_error = None


def _handle_edit(run: Run, original_model: Model, edit: Edit) -> None:
    _try_apply_edit(run, original_model, edit)


def _try_apply_edit(run: Run, original_model: Model, edit: Edit) -> bool:
    """Take an edit up, or tell why not; whether it was taken."""
    state = get_app_state()
    edits = add_edit(state.inspect.edits.get(run.id, ()), edit)
    try:
        apply_edits(original_model, edits)
    except PlaygroundError as problem:
        state.inspect.edit_error = problem
        return False
    state.inspect.edit_error = None
    state.inspect.edits[run.id] = edits
    state.inspect.channel = edit.channel  # switched off, it is no longer the one that the input excites most
    return True


# Tools


def _render_tools(state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int) -> None:
    untouched = load_model(run, model.step)
    channel = choose_channel(state, run, row, strongest_channel, key="operate-channel")
    present = next(
        (
            one.factor
            for one in state.inspect.edits.get(run.id, ())
            if isinstance(one, ChannelScale) and (one.layer_index, one.channel) == (row.index, channel)
        ),
        1.0,
    )
    st.session_state["operate-factor"] = present
    st.slider(
        "Its weights and bias times",
        0.0,
        2.0,
        step=0.05,
        key="operate-factor",
        on_change=lambda: _handle_edit(
            run, untouched, ChannelScale(row.index, channel, float(st.session_state["operate-factor"]))
        ),
        help="1 leaves the channel as it was trained; 0 switches it off: it then puts out what its activation makes of "
        "0 (0.5 for a sigmoid), whatever the input.",
    )
    st.button(
        "Switch off" if present else "Switch on",
        key="operate-off",
        on_click=_handle_edit,
        args=(run, untouched, ChannelScale(row.index, channel, 0.0 if present else 1.0)),
    )
    if row.layer_class.has_editable_kernels and present:
        _render_kernel_editor(run, model, row, channel)


def _render_kernel_editor(run: Run, model: Model, row: LayerSummary, channel: int) -> None:
    """One kernel as a table whose cells can be changed."""
    (weights,) = get_layer_weights(model, row.index)
    inputs, size = weights.kernels.shape[1], weights.kernels.shape[2]
    if size > _MAX_KERNEL_SIZE or not np.isfinite(weights.kernels).all():
        markup.render_hint(
            f"Kernels of more than {_MAX_KERNEL_SIZE}×{_MAX_KERNEL_SIZE}, or without numbers, cannot be edited by hand."
        )
        return
    below = 0
    if inputs > 1:
        grouped = row.input_shape[0] != inputs
        number = st.number_input(
            f"Kernel for channel 1 to {inputs} {'of its group' if grouped else 'below'}",
            1,
            inputs,
            1,
            key=f"operate-below-{inputs}",
            width=220,
        )
        below = int(number or 1) - 1
    kernel = weights.kernels[channel, below]
    # A name for each content: the editor forgets what was typed when another kernel takes its place.
    name = f"operate-kernel-{row.id}-{channel}-{below}-{hash(kernel.tobytes())}"
    markup.render_hint("Type into a cell to change this kernel:")
    shown = np.array([[round(float(value), 4) for value in line] for line in kernel])
    edited = st.data_editor(
        {str(column + 1): shown[:, column].tolist() for column in range(size)},
        key=name,
        hide_index=True,
        width=min(460, 90 * size),
    )
    given = np.array([edited[str(column + 1)] for column in range(size)], dtype=object).T
    try:
        values = given.astype(np.float64)
    except (TypeError, ValueError):
        values = np.full((size, size), np.nan)
    if not np.array_equal(values, shown):
        # The cells that nobody typed into keep all of their digits.
        kept = np.where(values == shown, kernel, values)
        wanted = KernelEdit(row.index, channel, below, tuple(tuple(map(float, line)) for line in kept))
        if _try_apply_edit(run, load_model(run, model.step), wanted):
            rerun_fragment_or_page()
    with st.container(horizontal=True, gap="small"):
        zeros = tuple((0.0,) * size for _ in range(size))
        st.button(
            "Zero this kernel",
            key="operate-zero",
            on_click=_handle_edit,
            args=(run, load_model(run, model.step), KernelEdit(row.index, channel, below, zeros)),
        )


def _render_edit_list(run: Run, original_model: Model, edits: tuple[Edit, ...]) -> None:
    if not edits:
        return
    markup.render_title("Changes", note=f"the last {_MAX_LISTED} of {len(edits)}" if len(edits) > _MAX_LISTED else "")
    for number, edit in list(enumerate(edits))[-_MAX_LISTED:]:
        title = original_model.architecture.layers[edit.layer_index].title
        where = f"{edit.layer_index + 1} {title}, channel {edit.channel + 1}"
        if isinstance(edit, ChannelScale):
            words = f"{where}: off" if edit.factor == 0 else f"{where}: times {edit.factor:g}"
        else:
            words = f"{where}: kernel for channel {edit.input_channel + 1} rewritten"
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            markup.render_hint(words)
            st.button("Undo", key=f"operate-undo-{number}", on_click=_undo_edit, args=(run.id, number), type="tertiary")


def _undo_edit(run_id: str, edit_index: int) -> None:
    state = get_app_state()
    edits = state.inspect.edits.get(run_id, ())
    state.inspect.edits[run_id] = (*edits[:edit_index], *edits[edit_index + 1 :])


# What came of it


def _render_measured_edits(run: Run, original_model: Model, edits: tuple[Edit, ...]) -> None:
    with st.spinner("Measuring …"):
        seen = measure_edits(original_model, edits, load_run_test_images(run))
    markup.render_metrics(
        [
            (f"{seen.before.accuracy:.2%}", f"as trained, {seen.before.size:,} test images"),
            (f"{seen.after.accuracy:.2%}", "with the changes") if edits else ("–", "with the changes"),
            (f"{(seen.after.accuracy - seen.before.accuracy) * 100:+.2f}", "points") if edits else ("–", "points"),
        ]
    )
    if not edits:
        markup.render_hint("Switch a channel off, scale it, or change a kernel: the accuracy is measured at once.")
        return
    names = run.get_dataset().class_names
    markup.render_data_table(
        ("class", "as trained", "now", "points"),
        [
            (name, f"{before:.1%}", f"{after:.1%}", f"{(after - before) * 100:+.1f}")
            for name, before, after in zip(
                names, seen.before.per_class_accuracy, seen.after.per_class_accuracy, strict=False
            )
        ],
    )
    _render_save_button(run, original_model, edits, seen.after)


def _render_save_button(run: Run, original_model: Model, edits: tuple[Edit, ...], evaluation: Evaluation) -> None:
    if not st.button("Save as a new run", key="operate-save", help="Look into it later, or train it on from here."):
        return
    state = get_app_state()
    try:
        saved = save_edited(run, original_model, edits, evaluation, owner=get_visitor_id())
    except PlaygroundError as problem:
        state.inspect.edit_error = problem
    else:
        _revert_edits(run.id)
        state.inspect.run_id = saved.id
    st.rerun()


def _render_ablation_scores(run: Run, original_model: Model, row: LayerSummary) -> None:
    markup.render_title("The least important channels", note="each one switched off by itself")
    key = (run.id, original_model.step, row.id)
    if st.button("Find them", key="operate-find", help="Measures the net once without each channel."):
        found: tuple[AblationScore, ...] = ()
        with show_stop_button("operate-find-stop") as place:
            for progress, found in compute_ablation_scores(original_model, row.index, load_run_test_images(run)):
                place.progress(progress.fraction, f"{len(found)} of {row.output_shape[0]} channels")
        st.session_state["importances"] = (key, found)
        rerun_fragment_or_page()
    kept = st.session_state.get("importances")
    if not kept or kept[0] != key:
        return
    found = kept[1]
    markup.render_data_table(
        ("channel off", "change of accuracy", "change of loss"),
        [
            (str(one.channel + 1), f"{-one.accuracy_drop * 100 + 0.0:+.2f} points", f"{one.loss_increase:+.4f}")
            for one in found[:_MAX_LISTED]
        ],
    )
    harmless = [one for one in found if one.accuracy_drop <= 0]
    markup.render_hint(
        f"The net as it was trained, on {found[0].size:,} test images; {len(harmless)} of {len(found)} channels cost "
        "nothing alone."
    )
    if harmless:
        st.button(
            f"Switch off the {len(harmless)} that cost nothing",
            key="operate-prune",
            on_click=_prune_channels,
            args=(run, original_model, row.index, tuple(one.channel for one in harmless)),
            help="Together they may cost something after all: see above.",
        )


def _prune_channels(run: Run, original_model: Model, layer_index: int, channels: tuple[int, ...]) -> None:
    for channel in channels:
        _handle_edit(run, original_model, ChannelScale(layer_index, channel, 0.0))
