"""Operating on the net: channels scaled or switched off, kernels rewritten; the effect on the accuracy at once."""

import numpy as np
import streamlit as st

from playground.core.summary import Row
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.weights import layer_weights
from playground.interpret.editing import (
    OPERABLE,
    Edit,
    Effect,
    Importance,
    Rewritten,
    Scaled,
    effect,
    importances,
    operated,
    save_operated,
    with_edit,
)
from playground.interpret.evaluation.predictions import images_of
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.pages.inspect.top_activations import choose_channel
from playground.ui.progress import redraw, stoppable
from playground.ui.services import visitor
from playground.ui.state import AppState, app_state

_MOST_KERNEL = 9
_MOST_LISTED = 12


def operated_line(state: AppState, run: Run) -> None:
    """That the net on the page is not as it was trained, with the way back."""
    count = len(state.edits.get(run.id, ()))
    if not count:
        return
    markup.line(
        f"Operated on: {count} change{'s' if count > 1 else ''}. Look inside and Mistakes show the net with them."
    )
    st.button("Revert all", key="operate-revert", on_click=_revert, args=(run.id,))


def operate_view(state: AppState, run: Run, model: Model, row: Row, strongest: int) -> None:
    """Tools on the left, what they did on the right."""
    untouched = load_model(run, model.step)
    edits = state.edits.get(run.id, ())
    tools, outcome = st.columns([46, 54], gap="medium")
    with tools:
        if row.kind in OPERABLE:
            _tools(state, run, model, row, strongest)
        else:
            markup.line(
                f"{row.title} cannot be operated on: choose a convolution, a linear layer, batch norm or the output."
            )
        if state.operate_error:
            markup.problem(state.operate_error)
        _list(run, untouched, edits)
    with outcome:
        _effect(run, untouched, edits)
        if row.kind in OPERABLE:
            _least_important(run, untouched, row)


def _revert(run_id: str) -> None:
    state = app_state()
    state.edits.pop(run_id, None)
    state.operate_error = None


def _do(run: Run, untouched: Model, edit: Edit) -> None:
    _takes(run, untouched, edit)


def _takes(run: Run, untouched: Model, edit: Edit) -> bool:
    """Take an edit up, or tell why not; whether it was taken."""
    state = app_state()
    edits = with_edit(state.edits.get(run.id, ()), edit)
    try:
        operated(untouched, edits)
    except PlaygroundError as problem:
        state.operate_error = problem
        return False
    state.operate_error = None
    state.edits[run.id] = edits
    state.inside_channel = edit.channel  # switched off, it is no longer the one that the input excites most
    return True


# Tools


def _tools(state: AppState, run: Run, model: Model, row: Row, strongest: int) -> None:
    untouched = load_model(run, model.step)
    channel = choose_channel(state, run, row, strongest, key="operate-channel")
    present = next(
        (
            one.factor
            for one in state.edits.get(run.id, ())
            if isinstance(one, Scaled) and (one.layer_index, one.channel) == (row.index, channel)
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
        on_change=lambda: _do(run, untouched, Scaled(row.index, channel, float(st.session_state["operate-factor"]))),
        help="1 leaves the channel as it was trained; 0 switches it off: it then puts out what its activation makes of "
        "0 (0.5 for a sigmoid), whatever the input.",
    )
    st.button(
        "Switch off" if present else "Switch on",
        key="operate-off",
        on_click=_do,
        args=(run, untouched, Scaled(row.index, channel, 0.0 if present else 1.0)),
    )
    if row.kind == "conv2d" and present:
        _kernel(run, model, row, channel)


def _kernel(run: Run, model: Model, row: Row, channel: int) -> None:
    """One kernel as a table whose cells can be changed."""
    (weights,) = layer_weights(model, row.index)
    inputs, size = weights.kernels.shape[1], weights.kernels.shape[2]
    if size > _MOST_KERNEL or not np.isfinite(weights.kernels).all():
        markup.hint(
            f"Kernels of more than {_MOST_KERNEL}×{_MOST_KERNEL}, or without numbers, cannot be edited by hand."
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
    markup.hint("Type into a cell to change this kernel:")
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
        wanted = Rewritten(row.index, channel, below, tuple(tuple(map(float, line)) for line in kept))
        if _takes(run, load_model(run, model.step), wanted):
            redraw()
    with st.container(horizontal=True, gap="small"):
        zeros = tuple((0.0,) * size for _ in range(size))
        st.button(
            "Zero this kernel",
            key="operate-zero",
            on_click=_do,
            args=(run, load_model(run, model.step), Rewritten(row.index, channel, below, zeros)),
        )


def _list(run: Run, untouched: Model, edits: tuple[Edit, ...]) -> None:
    if not edits:
        return
    markup.title("Changes", note=f"the last {_MOST_LISTED} of {len(edits)}" if len(edits) > _MOST_LISTED else "")
    for number, edit in list(enumerate(edits))[-_MOST_LISTED:]:
        title = untouched.architecture.layers[edit.layer_index].title
        where = f"{edit.layer_index + 1} {title}, channel {edit.channel + 1}"
        if isinstance(edit, Scaled):
            words = f"{where}: off" if edit.factor == 0 else f"{where}: times {edit.factor:g}"
        else:
            words = f"{where}: kernel for channel {edit.below + 1} rewritten"
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            markup.hint(words)
            st.button("Undo", key=f"operate-undo-{number}", on_click=_undo, args=(run.id, number), type="tertiary")


def _undo(run_id: str, number: int) -> None:
    state = app_state()
    edits = state.edits.get(run_id, ())
    state.edits[run_id] = (*edits[:number], *edits[number + 1 :])


# What came of it


def _effect(run: Run, untouched: Model, edits: tuple[Edit, ...]) -> None:
    with st.spinner("Measuring …"):
        seen = effect(untouched, edits, images_of(run))
    markup.figures(
        [
            (f"{seen.before:.2%}", f"as trained, {seen.size:,} test images"),
            (f"{seen.after:.2%}", "with the changes") if edits else ("–", "with the changes"),
            (f"{(seen.after - seen.before) * 100:+.2f}", "points") if edits else ("–", "points"),
        ]
    )
    if not edits:
        markup.hint("Switch a channel off, scale it, or change a kernel: the accuracy is measured at once.")
        return
    names = run.dataset().class_names
    markup.columns_table(
        ("class", "as trained", "now", "points"),
        [
            (name, f"{before:.1%}", f"{after:.1%}", f"{(after - before) * 100:+.1f}")
            for name, before, after in zip(names, seen.per_class_before, seen.per_class_after, strict=False)
        ],
    )
    _save(run, untouched, edits, seen)


def _save(run: Run, untouched: Model, edits: tuple[Edit, ...], seen: Effect) -> None:
    if not st.button("Save as a new run", key="operate-save", help="Look into it later, or train it on from here."):
        return
    state = app_state()
    try:
        saved = save_operated(run, untouched, edits, seen, owner=visitor())
    except PlaygroundError as problem:
        state.operate_error = problem
    else:
        _revert(run.id)
        state.inside_run = saved.id
    st.rerun()


def _least_important(run: Run, untouched: Model, row: Row) -> None:
    markup.title("The least important channels", note="each one switched off by itself")
    key = (run.id, untouched.step, row.id)
    if st.button("Find them", key="operate-find", help="Measures the net once without each channel."):
        found: tuple[Importance, ...] = ()
        with stoppable("operate-find-stop") as place:
            for progress, found in importances(untouched, row.index, images_of(run)):
                place.progress(progress, f"{len(found)} of {row.output_shape[0]} channels")
        st.session_state["importances"] = (key, found)
        redraw()
    kept = st.session_state.get("importances")
    if not kept or kept[0] != key:
        return
    found = kept[1]
    markup.columns_table(
        ("channel off", "change of accuracy", "change of loss"),
        [
            (str(one.channel + 1), f"{-one.fall * 100 + 0.0:+.2f} points", f"{one.loss_rise:+.4f}")
            for one in found[:_MOST_LISTED]
        ],
    )
    harmless = [one for one in found if one.fall <= 0]
    markup.hint(
        f"The net as it was trained, on {found[0].size:,} test images; {len(harmless)} of {len(found)} channels cost "
        "nothing alone."
    )
    if harmless:
        st.button(
            f"Switch off the {len(harmless)} that cost nothing",
            key="operate-prune",
            on_click=_prune,
            args=(run, untouched, row.index, tuple(one.channel for one in harmless)),
            help="Together they may cost something after all: see above.",
        )


def _prune(run: Run, untouched: Model, layer_index: int, channels: tuple[int, ...]) -> None:
    for channel in channels:
        _do(run, untouched, Scaled(layer_index, channel, 0.0))
