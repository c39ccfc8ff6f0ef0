"""Edit panel: scale or switch off channels, edit kernels, and measure the accuracy."""

import numpy as np
import streamlit as st

from playground.core.summary import LayerSummary
from playground.engine.metrics import Evaluation, format_accuracy
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.weights import get_layer_weights
from playground.interpret.editing import (
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
from playground.interpret.evaluation.dataset_predictions import load_run_test_images
from playground.interpret.model import Model, load_model
from playground.ui import html
from playground.ui.controls import bind, choose_number
from playground.ui.pages.inspect.top_activations import choose_channel
from playground.ui.progress import rerun_fragment_or_page, run_with_progress, show_stop_button
from playground.ui.services import get_visitor_id
from playground.ui.state import AppState, get_app_state

_MAX_KERNEL_SIZE = 9
_MAX_LISTED = 12


def render_edit_notice(state: AppState, run: Run) -> None:
    """Render a notice that the run has edits, with a button that discards them."""
    count = len(state.inspect.edits.get(run.id, ()))
    if not count:
        return
    html.render_message(
        f"{count} edit{'s' if count > 1 else ''} applied. Inspect and Mistakes show the edited network."
    )
    st.button("Discard edits", key="operate-revert", on_click=_revert_edits, args=(run.id,))


def render_edit_view(state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int) -> None:
    """Render the editing controls on the left and the measured effect on the right."""
    original_model = load_model(run, model.step)
    edits = state.inspect.edits.get(run.id, ())
    tools, outcome = st.columns([46, 54], gap="medium")
    with tools:
        if has_editable_channels(model.architecture, row.index):
            _render_tools(state, run, model, row, strongest_channel)
        else:
            html.render_message(
                f"{row.title} has no channels to edit. Select a convolution, a linear layer, batch norm or the output."
            )
        if state.inspect.edit_error:
            html.render_error(state.inspect.edit_error)
        _render_edit_list(run, original_model, edits)
    with outcome:
        _render_measured_edits(run, original_model, edits)
        if has_editable_channels(model.architecture, row.index):
            _render_ablation_scores(run, original_model, row)


def _revert_edits(run_id: str) -> None:
    state = get_app_state()
    state.inspect.edits.pop(run_id, None)
    state.inspect.edit_error = None


def _handle_edit(run: Run, original_model: Model, edit: Edit) -> None:
    _try_apply_edit(run, original_model, edit)


def _try_apply_edit(run: Run, original_model: Model, edit: Edit) -> bool:
    """Apply an edit; returns False and stores the error if it is invalid."""
    state = get_app_state()
    edits = add_edit(state.inspect.edits.get(run.id, ()), edit)
    try:
        apply_edits(original_model, edits)
    except PlaygroundError as error:
        state.inspect.edit_error = error
        return False
    state.inspect.edit_error = None
    state.inspect.edits[run.id] = edits
    state.inspect.channel = edit.channel  # keeps it selected: once it is off, another channel is the strongest
    return True


def _render_tools(state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int) -> None:
    original_model = load_model(run, model.step)
    channel = choose_channel(state, run, row, strongest_channel, key="operate-channel")
    factor = next(
        (
            one.factor
            for one in state.inspect.edits.get(run.id, ())
            if isinstance(one, ChannelScale) and (one.layer_index, one.channel) == (row.index, channel)
        ),
        1.0,
    )
    st.slider(
        "Scale weights and bias by",
        0.0,
        2.0,
        step=0.05,
        **bind(
            "operate-factor",
            factor,
            lambda value: _handle_edit(run, original_model, ChannelScale(row.index, channel, float(value))),
        ),
        help="1: as trained. 0: off; the channel then outputs its activation function of 0 for every input.",
    )
    st.button(
        "Switch off" if factor else "Switch on",
        key="operate-off",
        on_click=_handle_edit,
        args=(run, original_model, ChannelScale(row.index, channel, 0.0 if factor else 1.0)),
    )
    if row.layer_class.has_editable_kernels and factor:
        _render_kernel_editor(run, model, row, channel)


def _render_kernel_editor(run: Run, model: Model, row: LayerSummary, channel: int) -> None:
    """Render one kernel as an editable table."""
    (weights,) = get_layer_weights(model, row.index)
    inputs, size = weights.kernels.shape[1], weights.kernels.shape[2]
    if size > _MAX_KERNEL_SIZE or not np.isfinite(weights.kernels).all():
        html.render_hint(
            f"Kernels can be edited up to {_MAX_KERNEL_SIZE}×{_MAX_KERNEL_SIZE}, and only if all weights are finite."
        )
        return
    input_channel = 0
    if inputs > 1:
        is_grouped = row.input_shape[0] != inputs
        number = choose_number(
            f"Kernel for input channel (1–{inputs}{' of its group' if is_grouped else ''})",
            1,
            name=f"operate-below-{inputs}",
            minimum=1,
            maximum=inputs,
            width=220,
        )
        input_channel = number - 1
    kernel = weights.kernels[channel, input_channel]
    # A key per content: the editor discards what was typed when another kernel replaces this one.
    editor_key = f"operate-kernel-{row.id}-{channel}-{input_channel}-{hash(kernel.tobytes())}"
    html.render_hint("Type into a cell to edit this kernel:")
    rounded_kernel = np.array([[round(float(value), 4) for value in row_values] for row_values in kernel])
    edited = st.data_editor(
        {str(column + 1): rounded_kernel[:, column].tolist() for column in range(size)},
        key=editor_key,
        hide_index=True,
        width=min(460, 90 * size),
    )
    typed_values = np.array([edited[str(column + 1)] for column in range(size)], dtype=object).T
    try:
        values = typed_values.astype(np.float64)
    except (TypeError, ValueError):
        values = np.full((size, size), np.nan)
    if not np.array_equal(values, rounded_kernel):
        # Cells that were not edited keep their full precision.
        new_kernel = np.where(values == rounded_kernel, kernel, values)
        edit = KernelEdit(
            row.index, channel, input_channel, tuple(tuple(map(float, row_values)) for row_values in new_kernel)
        )
        if _try_apply_edit(run, load_model(run, model.step), edit):
            rerun_fragment_or_page()
    with st.container(horizontal=True, gap="small"):
        zeros = tuple((0.0,) * size for _ in range(size))
        st.button(
            "Set kernel to zero",
            key="operate-zero",
            on_click=_handle_edit,
            args=(run, load_model(run, model.step), KernelEdit(row.index, channel, input_channel, zeros)),
        )


def _render_edit_list(run: Run, original_model: Model, edits: tuple[Edit, ...]) -> None:
    if not edits:
        return
    html.render_title("Edits", note=f"the last {_MAX_LISTED} of {len(edits)}" if len(edits) > _MAX_LISTED else "")
    for number, edit in list(enumerate(edits))[-_MAX_LISTED:]:
        title = original_model.architecture.layers[edit.layer_index].title
        location = f"{edit.layer_index + 1} {title}, channel {edit.channel + 1}"
        if isinstance(edit, ChannelScale):
            description = f"{location}: off" if edit.factor == 0 else f"{location}: scaled by {edit.factor:g}"
        else:
            description = f"{location}: kernel for input channel {edit.input_channel + 1} edited"
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            html.render_hint(description)
            st.button("Undo", key=f"operate-undo-{number}", on_click=_undo_edit, args=(run.id, number), type="tertiary")


def _undo_edit(run_id: str, edit_index: int) -> None:
    state = get_app_state()
    edits = state.inspect.edits.get(run_id, ())
    state.inspect.edits[run_id] = (*edits[:edit_index], *edits[edit_index + 1 :])


def _render_measured_edits(run: Run, original_model: Model, edits: tuple[Edit, ...]) -> None:
    effect = run_with_progress(measure_edits(original_model, edits, load_run_test_images(run)))
    html.render_metrics(
        [
            (
                format_accuracy(effect.before.accuracy, effect.before.size),
                f"as trained, {effect.before.size:,} test images",
            ),
            (format_accuracy(effect.after.accuracy, effect.after.size) if edits else "–", "edited"),
            (f"{(effect.after.accuracy - effect.before.accuracy) * 100:+.2f}" if edits else "–", "percentage points"),
        ]
    )
    if not edits:
        html.render_hint("Switch off a channel, scale it, or edit a kernel to see the new accuracy.")
        return
    names = run.get_dataset().class_names
    html.render_data_table(
        ("class", "as trained", "edited", "points"),
        [
            (name, f"{before:.1%}", f"{after:.1%}", f"{(after - before) * 100:+.1f}")
            for name, before, after in zip(
                names, effect.before.per_class_accuracy, effect.after.per_class_accuracy, strict=False
            )
        ],
    )
    _render_save_button(run, original_model, edits, effect.after)


def _render_save_button(run: Run, original_model: Model, edits: tuple[Edit, ...], evaluation: Evaluation) -> None:
    if not st.button(
        "Save as a new run",
        key="operate-save",
        help="Keeps the edited weights as a run that can be inspected and trained further.",
    ):
        return
    state = get_app_state()
    try:
        saved = save_edited(run, original_model, edits, evaluation, owner=get_visitor_id())
    except PlaygroundError as error:
        state.inspect.edit_error = error
    else:
        _revert_edits(run.id)
        state.inspect.run_id = saved.id
    st.rerun()


def _render_ablation_scores(run: Run, original_model: Model, row: LayerSummary) -> None:
    html.render_title("Channel importance", note="effect of switching off each channel alone (ablation)")
    key = (run.id, original_model.step, row.id)
    if st.button(
        "Rank channels", key="operate-find", help="Evaluates the network once per channel without that channel."
    ):
        steps = compute_ablation_scores(original_model, row.index, load_run_test_images(run))
        with show_stop_button("operate-find-stop") as container:
            scores = run_with_progress(steps, container)
        st.session_state["importances"] = (key, scores)
        rerun_fragment_or_page()
    stored = st.session_state.get("importances")
    if not stored or stored[0] != key:
        return
    scores = stored[1]
    html.render_data_table(
        ("channel off", "accuracy change", "loss change"),
        [
            (str(one.channel + 1), f"{-one.accuracy_drop * 100 + 0.0:+.2f} points", f"{one.loss_increase:+.4f}")
            for one in scores[:_MAX_LISTED]
        ],
    )
    harmless = [one for one in scores if one.accuracy_drop <= 0]
    html.render_hint(
        f"Measured on {scores[0].size:,} test images without edits. {len(harmless)} of {len(scores)} channels can be "
        "switched off alone without a loss of accuracy."
    )
    if harmless:
        st.button(
            f"Switch off these {len(harmless)} channels",
            key="operate-prune",
            on_click=_prune_channels,
            args=(run, original_model, row.index, tuple(one.channel for one in harmless)),
            help="Together they can lower the accuracy, which is measured above.",
        )


def _prune_channels(run: Run, original_model: Model, layer_index: int, channels: tuple[int, ...]) -> None:
    for channel in channels:
        _handle_edit(run, original_model, ChannelScale(layer_index, channel, 0.0))
