"""The Network panel: preset, data set and the stack of layers, each row with its figures, problems and form."""

from functools import partial
from html import escape
from typing import Any

import streamlit as st

from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.layers import LAYER_KINDS, Layer, Output, Residual
from playground.core.layers.base import joined_detail
from playground.core.shapes import Shape, shape_text
from playground.core.summary import Row, Summary, summarize
from playground.core.validation import Problem, find_problems
from playground.engine.data.registry import dataset_for, is_here, training_images
from playground.engine.training.cost_model import seconds_per_epoch
from playground.ui import html as markup
from playground.ui.actions import follow_network, is_active
from playground.ui.forms import model_form
from playground.ui.pages.playground.presets import dataset_choice, look_at, preset_choice
from playground.ui.pages.playground.transfer import transfer_line, transfer_popover
from playground.ui.panels.download import fetch_panel
from playground.ui.panels.share import import_popover, share_popover
from playground.ui.services import supervisor
from playground.ui.state import AppState, Draft, app_state

INPUT_ROW = "input"


def network_panel(state: AppState) -> None:
    """Everything about the architecture; opening a row draws nothing else of the page anew."""
    st.fragment(_panel)(_concern(state))


def _concern(state: AppState) -> tuple[str, str, str | None]:
    """What of this panel the rest of the page depends on."""
    return state.architecture.digest, state.recipe.digest, state.run_id


def _panel(known: tuple[str, str, str | None]) -> None:
    state = app_state()
    if known != _concern(state):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="network-head"):
        markup.title("Network")
        preset_choice(state)
        dataset_choice(state)
    look_at(state)
    summary = summarize(state.architecture)
    problems = find_problems(state.architecture, supervisor().limits.for_recipe(state.recipe))
    with st.container(gap=None, key="stack"):
        costliest = max([row.multiply_adds for row in summary.rows], default=0)
        _input_row(state)
        halves = summary.halves
        for row in summary.rows:
            if row.index in halves:
                _half(halves[row.index])
            _layer_row(state, row, costliest, [found for found in problems if found.layer_id == row.id])
    for number, problem in enumerate(problems):
        if problem.layer_id is None:
            _problem(problem, f"whole-{number}")
    if state.network_error:
        markup.problem(state.network_error)
    _buttons(state)
    _totals(summary, state)


def _input_row(state: AppState) -> None:
    """The images as they go in; opened, their size."""
    shape = state.architecture.input
    dataset = dataset_for(state.recipe, state.architecture)
    resized = dataset.input_shape != shape.shape
    detail = f"{dataset.title}{', resized' if resized else ''} · {state.architecture.classes} classes"
    is_open, gone = state.open_layer == INPUT_ROW, dataset.is_gone
    with st.container(key="layer-input", gap=None):
        _row("Input", detail, shape.shape, " ".join(filter(None, ("open" if is_open else "", "wrong" if gone else ""))))
        label = f"Input: {shape_text(shape.shape)} images of {dataset.title}"
        st.button(label, key="open-input", on_click=_toggle_open, args=(INPUT_ROW,), width="stretch")
        if gone:
            markup.line("The images that this recipe names are not here: choose a data set above.", kind="warn")
        elif not is_here(dataset):
            with st.container(key="editor-fetch", gap="small"):
                fetch_panel(dataset)
        if is_open:
            with st.container(key="editor-input", gap="small"):
                markup.hint("Images of the data set are brought to this size, and to grey (1 channel) or colour (3).")
                model_form(shape, key="input", columns=3, on_change=_set_input)


def _set_input(name: str, value: Any) -> None:
    state = app_state()

    def edited() -> Architecture:
        sizes = {**state.architecture.input.model_dump(), name: value}
        return state.architecture.for_images(
            (sizes["channels"], sizes["height"], sizes["width"]), state.architecture.classes
        )

    state.attempt(edited)


def _half(title: str) -> None:
    st.html(f'<div class="pg-half">{escape(title)}</div>')


def _layer_row(state: AppState, row: Row, costliest: int, problems: list[Problem]) -> None:
    is_open = state.open_layer == row.id
    share = row.multiply_adds / costliest if costliest else 0
    kinds = " ".join(
        name for name, holds in (("open", is_open), ("off", not row.enabled), ("wrong", bool(problems))) if holds
    )
    with st.container(key=f"layer-{row.id}", gap=None):
        cost = f'<i title="{row.multiply_adds:,} multiply-adds"><u style="width:{share:.0%}"></u></i>'
        frozen = "" if state.architecture.layers[row.index].trainable else "frozen"
        detail = joined_detail(row.detail, frozen)
        _row(row.title, detail, row.output_shape, f"{kinds} {frozen}", f"{row.parameters:,}", cost)
        st.button(
            f"Layer {row.index + 1}: {row.title} {row.detail}, output {shape_text(row.output_shape)}",
            key=f"open-{row.id}",
            on_click=_toggle_open,
            args=(row.id,),
            width="stretch",
        )
        for number, problem in enumerate(problems):
            _problem(problem, f"{row.id}-{number}")
        if is_open:
            _layer_editor(state, row)


def _row(title: str, detail: str, shape: Shape, kinds: str, parameters: str = "", cost: str = "<s></s>") -> None:
    st.html(
        f'<div class="pg-row {kinds}"><b>{escape(title)}</b><span class="d">{escape(detail)}</span>'
        f'<span class="s">{escape(shape_text(shape))}</span><span class="p">{parameters}</span>{cost}</div>'
    )


def _toggle_open(layer_id: str) -> None:
    state = app_state()
    state.open_layer = None if state.open_layer == layer_id else layer_id


def _problem(problem: Problem, place: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"problem-{place}"):
        st.html(
            f'<div class="pg-wrong" role="alert">{escape(problem.what)} <span>{escape(problem.expected)}</span></div>'
        )
        for number, fix in enumerate(problem.fixes[:2]):
            st.button(
                fix.label,
                key=f"fix-{place}-{number}",
                on_click=lambda architecture: app_state().edit(architecture),
                args=(fix.architecture,),
            )


def _layer_editor(state: AppState, row: Row) -> None:
    layer = state.architecture.layers[row.index]
    with st.container(key=f"editor-{row.id}", gap="small"):
        markup.hint(layer.summary)
        model_form(layer, key=f"field-{row.id}", on_change=lambda name, value: _set_field(row.id, name, value))
        if isinstance(layer, Residual):
            _inner_layers(row.id, layer)
        _layer_actions(row, len(state.architecture.layers))


def _set_field(layer_id: str, name: str, value: Any) -> None:
    state = app_state()
    index = state.architecture.index_of(layer_id)
    layer = state.architecture.layers[index]
    state.attempt(lambda: state.architecture.replaced(index, layer.changed(**{name: value})))
    follow_network()


def _inner_layers(layer_id: str, block: Residual) -> None:
    for number, inner in enumerate(block.layers):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.html(f'<div class="pg-inner">{number + 1} {escape(inner.title)} {escape(inner.detail())}</div>')
            st.button(
                "Remove",
                key=f"inner-delete-{layer_id}-{number}",
                disabled=len(block.layers) == 1,
                on_click=_set_field,
                args=(layer_id, "layers", (*block.layers[:number], *block.layers[number + 1 :])),
            )
        model_form(
            inner,
            key=f"inner-{layer_id}-{number}",
            on_change=partial(_set_inner, layer_id, block, number),
            only=("out_channels", "kernel_size", "stride", "padding", "activation", "p"),
        )
    kinds = {"conv2d": "Conv", "batch_norm": "Batch norm", "activation": "Activation", "dropout": "Dropout"}
    chosen = st.menu_button(
        "Add inside",
        list(kinds),
        key=f"inner-add-{layer_id}",
        format_func=lambda kind: kinds[kind],
        disabled=len(block.layers) >= 8,
    )
    if chosen:
        fields = {"padding": "same"} if chosen == "conv2d" else {}
        _set_field(layer_id, "layers", (*block.layers, LAYER_KINDS[chosen].model_validate(fields)))
        st.rerun()


def _set_inner(layer_id: str, block: Residual, number: int, name: str, value: Any) -> None:
    state = app_state()
    index = state.architecture.index_of(layer_id)

    def edited() -> Architecture:
        layers = list(block.layers)
        layers[number] = layers[number].changed(**{name: value})
        return state.architecture.replaced(index, block.changed(layers=tuple(layers)))

    state.attempt(edited)
    follow_network()


def _layer_actions(row: Row, count: int) -> None:
    state = app_state()
    index = row.index
    actions: tuple[tuple[str, str, str, bool, Any], ...] = (
        (
            "up",
            "Up",
            ":material/arrow_upward:",
            index == 0,
            lambda: state.attempt(lambda: state.architecture.moved(index, -1)),
        ),
        (
            "down",
            "Down",
            ":material/arrow_downward:",
            index == count - 1,
            lambda: state.attempt(lambda: state.architecture.moved(index, 1)),
        ),
        (
            "duplicate",
            "Duplicate",
            ":material/content_copy:",
            False,
            lambda: state.attempt(lambda: state.architecture.duplicated(index)),
        ),
        (
            "toggle",
            "Switch off" if row.enabled else "Switch on",
            ":material/visibility_off:" if row.enabled else ":material/visibility:",
            False,
            lambda: state.attempt(lambda: state.architecture.toggled(index)),
        ),
        (
            "delete",
            "Delete",
            ":material/delete:",
            False,
            lambda: state.attempt(lambda: state.architecture.replaced(index)),
        ),
    )
    with st.container(horizontal=True, gap="small", key=f"actions-{row.id}"):
        for name, label, icon, disabled, act in actions:
            st.button(
                label, key=f"{name}-{row.id}", icon=icon, disabled=disabled, on_click=act, type="tertiary", wrap=False
            )


def _buttons(state: AppState) -> None:
    with st.container(horizontal=True, gap="small", key="network-buttons"):
        kinds = {kind: layer.title for kind, layer in LAYER_KINDS.items()}
        chosen = st.menu_button(
            "Add layer",
            list(kinds),
            key="layer-add",
            icon=":material/add:",
            format_func=lambda kind: kinds[kind],
            help="Below the open layer, or else at the last place where it fits.",
        )
        if chosen:
            _add(state, LAYER_KINDS[chosen].model_validate({}))
            st.rerun()
        back, again = (_may_take(state, drafts) for drafts in (state.past, state.future))
        st.button("Undo", key="undo", on_click=_undo, disabled=not back, shortcut="Z", help="Undo the last edit.")
        st.button("Redo", key="redo", on_click=_redo, disabled=not again, help="Bring the undone edit back.")
    with st.container(horizontal=True, gap="small", key="network-exchange"):
        transfer_popover(state)
        import_popover(state)
        share_popover(state)
    transfer_line(state)


def _may_take(state: AppState, drafts: list[Draft]) -> bool:
    """Whether there is a draft, and none with settings while a run goes on by others."""
    return bool(drafts) and not (drafts[-1].values and is_active(state.run))


def _undo() -> None:
    app_state().undo()
    follow_network()


def _redo() -> None:
    app_state().redo()
    follow_network()


def _add(state: AppState, layer: Layer) -> None:
    layers = state.architecture.layers
    ids = [known.id for known in layers]
    index = ids.index(state.open_layer) + 1 if state.open_layer in ids else _last_fitting_place(state, layer)
    state.attempt(lambda: state.architecture.inserted(index, layer))
    if state.network_error is None:
        state.open_layer = state.architecture.layers[index].id


def _last_fitting_place(state: AppState, layer: Layer) -> int:
    """The last place before the output at which the layer brings no new problem; else right before the output."""
    layers = state.architecture.layers
    before_output = next((place for place, known in enumerate(layers) if isinstance(known, Output)), len(layers))
    if len(layers) >= MAX_LAYERS:
        return before_output
    known_problems = len(find_problems(state.architecture))
    places = range(before_output, -1, -1)
    fitting = (p for p in places if len(find_problems(state.architecture.inserted(p, layer))) <= known_problems)
    return next(fitting, before_output)


def _totals(summary: Summary, state: AppState) -> None:
    images = training_images(state.recipe, dataset_for(state.recipe, state.architecture))
    seconds = seconds_per_epoch(summary, state.recipe, images, supervisor().images_per_second)
    parts = [
        (f"{summary.parameters:,}", "parameters"),
        (_short(summary.multiply_adds), "multiply-adds"),
        (shape_text(summary.receptive_field), "seen"),
    ]
    if seconds is not None and summary.rows and images:
        parts.append((f"{seconds:.0f} s" if seconds >= 1 else "under 1 s", "an epoch"))
    st.html(
        '<div class="pg-totals">' + "".join(f"<span><b>{value}</b> {name}</span>" for value, name in parts) + "</div>"
    )


def _short(count: int) -> str:
    if count < 1_000:
        return str(count)
    return f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count / 1e3:.0f} k"
