"""The Network panel: preset, dataset and layers, each with its size, problems and form."""

from html import escape
from typing import Any

import streamlit as st

from playground.core.architecture import MAX_LAYERS, Architecture
from playground.core.layers import LAYER_KINDS, Layer
from playground.core.layers.shared.base import join_arguments
from playground.core.shapes import Shape, format_shape
from playground.core.summary import LayerSummary, Summary, summarize
from playground.core.validation import Problem, validate
from playground.engine.data.dataset_lookup import is_available, resolve_dataset
from playground.ui import html
from playground.ui.actions import find_problems, is_active, sync_dropout_rates
from playground.ui.epoch_time import count_epoch_images, estimate_epoch_seconds, format_seconds
from playground.ui.forms import render_model_form
from playground.ui.page_states import UndoEntry
from playground.ui.pages.playground.layer_editor import render_layer_editor
from playground.ui.pages.playground.presets import render_dataset_choice, render_preset_choice, render_preset_note
from playground.ui.pages.playground.transfer import render_transfer_notice, render_transfer_popover
from playground.ui.panels.download import render_download_panel
from playground.ui.panels.share import render_import_popover, render_share_popover
from playground.ui.shortcuts import get_shortcut
from playground.ui.state import AppState, get_app_state

INPUT_ROW_ID = "input"


def render_network_panel(state: AppState) -> None:
    """Render the network editor as a fragment, so that opening a row does not rerun the page."""
    st.fragment(_render_panel)(_get_page_dependencies(state))


def _get_page_dependencies(state: AppState) -> tuple[str, str, str | None]:
    """Return the values of this panel that the rest of the page shows."""
    return state.editor.architecture.digest, state.editor.recipe.digest, state.training.run_id


def _render_panel(previous: tuple[str, str, str | None]) -> None:
    state = get_app_state()
    if previous != _get_page_dependencies(state):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="network-head"):
        html.render_title("Network")
        render_preset_choice(state)
        render_dataset_choice(state)
    render_preset_note(state)
    _render_changed_settings(state)
    summary = summarize(state.editor.architecture)
    problems = find_problems(state)
    with st.container(gap=None, key="stack"):
        costliest = max([row.multiply_adds for row in summary.layers], default=0)
        _render_input_row(state)
        halves = summary.backbone_and_head
        for row in summary.layers:
            if row.index in halves:
                _render_part_heading(halves[row.index])
            _render_layer_row(state, row, costliest, [problem for problem in problems if problem.layer_id == row.id])
    for number, problem in enumerate(problems):
        if problem.layer_id is None:
            _render_problem(problem, f"whole-{number}")
    if state.editor.error:
        html.render_error(state.editor.error)
    _render_buttons(state)
    _render_totals(summary, state)


def _render_changed_settings(state: AppState) -> None:
    """Render the settings that a preset or a dataset changed, with a button that undoes it."""
    if not state.editor.changed_settings:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="changed-settings"):
        html.render_hint(f"Settings changed too: {state.editor.changed_settings}.")
        can_undo = _can_apply(state, state.editor.undo_stack)
        st.button(
            "Undo", key="changed-settings-undo", type="tertiary", on_click=_undo_network_edit, disabled=not can_undo
        )


def _render_input_row(state: AppState) -> None:
    """Render the input row and, when open, the form for the input size."""
    shape = state.editor.architecture.input
    dataset = resolve_dataset(state.editor.recipe, state.editor.architecture)
    resized = dataset.input_shape != shape.shape
    detail = f"{dataset.title}{', resized' if resized else ''} · {len(dataset.class_names)} classes"
    is_open, is_missing = state.editor.open_layer_id == INPUT_ROW_ID, dataset.is_missing
    with st.container(key="layer-input", gap=None):
        _render_row(
            "Input",
            detail,
            shape.shape,
            " ".join(filter(None, ("open" if is_open else "", "wrong" if is_missing else ""))),
        )
        label = f"Input: {format_shape(shape.shape)} images of {dataset.title}"
        st.button(label, key="open-input", on_click=_toggle_layer_editor, args=(INPUT_ROW_ID,), width="stretch")
        if is_missing:
            html.render_message("The dataset of this recipe is missing. Choose another one above.", severity="warn")
        elif not is_available(dataset):
            with st.container(key="editor-fetch", gap="small"):
                render_download_panel(dataset)
        if is_open:
            with st.container(key="editor-input", gap="small"):
                html.render_hint("Images are resized to this size and converted to grayscale (1 channel) or color (3).")
                render_model_form(shape, key="input", columns=3, on_change=_set_input_shape)


def _set_input_shape(name: str, value: Any) -> None:
    state = get_app_state()

    def build_architecture() -> Architecture:
        sizes = {**state.editor.architecture.input.model_dump(), name: value}
        return state.editor.architecture.adapt_to_images(
            (sizes["channels"], sizes["height"], sizes["width"]), state.editor.architecture.classes
        )

    state.try_set_architecture(build_architecture)


def _render_part_heading(title: str) -> None:
    st.html(f'<div class="pg-half">{escape(title)}</div>')


def _render_layer_row(state: AppState, row: LayerSummary, max_multiply_adds: int, problems: list[Problem]) -> None:
    is_open = state.editor.open_layer_id == row.id
    share = row.multiply_adds / max_multiply_adds if max_multiply_adds else 0
    css_classes = " ".join(
        name for name, applies in (("open", is_open), ("off", not row.enabled), ("wrong", bool(problems))) if applies
    )
    with st.container(key=f"layer-{row.id}", gap=None):
        cost = f'<i title="{row.multiply_adds:,} multiply-adds"><u style="width:{share:.0%}"></u></i>'
        frozen = "" if state.editor.architecture.layers[row.index].trainable else "frozen"
        detail = join_arguments(row.arguments_text, frozen)
        _render_row(row.title, detail, row.output_shape, f"{css_classes} {frozen}", f"{row.parameters:,}", cost)
        st.button(
            f"Layer {row.index + 1}: {row.label}, output {format_shape(row.output_shape)}",
            key=f"open-{row.id}",
            on_click=_toggle_layer_editor,
            args=(row.id,),
            width="stretch",
        )
        for number, problem in enumerate(problems):
            _render_problem(problem, f"{row.id}-{number}")
        if is_open:
            render_layer_editor(state, row)


def _render_row(
    title: str, detail: str, shape: Shape, css_classes: str, parameters: str = "", cost_html: str = "<s></s>"
) -> None:
    st.html(
        f'<div class="pg-row {css_classes}"><b>{escape(title)}</b><span class="d">{escape(detail)}</span>'
        f'<span class="s">{escape(format_shape(shape))}</span><span class="p">{parameters}</span>{cost_html}</div>'
    )


def _toggle_layer_editor(layer_id: str) -> None:
    state = get_app_state()
    state.editor.open_layer_id = None if state.editor.open_layer_id == layer_id else layer_id


def _render_problem(problem: Problem, key_suffix: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"problem-{key_suffix}"):
        st.html(
            f'<div class="pg-wrong" role="alert">{escape(problem.what)} <span>{escape(problem.expected)}</span></div>'
        )
        for number, fix in enumerate(problem.fixes[:2]):
            st.button(
                fix.label,
                key=f"fix-{key_suffix}-{number}",
                on_click=lambda architecture: get_app_state().set_architecture(architecture),
                args=(fix.architecture,),
            )


def _render_buttons(state: AppState) -> None:
    with st.container(horizontal=True, gap="small", key="network-buttons"):
        kinds = {kind: layer.title for kind, layer in LAYER_KINDS.items()}
        chosen = st.menu_button(
            "Add layer",
            list(kinds),
            key="layer-add",
            icon=":material/add:",
            format_func=lambda kind: kinds[kind],
            help="Adds it below the open layer, or else at the last position where it fits.",
        )
        if chosen:
            _add_layer(state, LAYER_KINDS[chosen].model_validate({}))
            st.rerun()
        can_undo, can_redo = (_can_apply(state, stack) for stack in (state.editor.undo_stack, state.editor.redo_stack))
        st.button(
            "Undo",
            key="undo",
            on_click=_undo_network_edit,
            disabled=not can_undo,
            shortcut=get_shortcut("Z"),
            help="Undo the last edit (Z).",
        )
        st.button(
            "Redo",
            key="redo",
            on_click=_redo_network_edit,
            disabled=not can_redo,
            help="Redo the edit that was undone.",
        )
    with st.container(horizontal=True, gap="small", key="network-exchange"):
        render_transfer_popover(state)
        render_import_popover(state)
        render_share_popover(state)
    render_transfer_notice(state)


def _can_apply(state: AppState, entries: list[UndoEntry]) -> bool:
    """Return True if the newest entry can be applied: one with recipe values cannot while a run is active."""
    return bool(entries) and not (entries[-1].recipe_values and is_active(state.training.find_run()))


def _undo_network_edit() -> None:
    get_app_state().editor.undo()
    sync_dropout_rates()


def _redo_network_edit() -> None:
    get_app_state().editor.redo()
    sync_dropout_rates()


def _add_layer(state: AppState, layer: Layer) -> None:
    layers = state.editor.architecture.layers
    ids = [known.id for known in layers]
    index = (
        ids.index(state.editor.open_layer_id) + 1
        if state.editor.open_layer_id in ids
        else _find_last_valid_index(state, layer)
    )
    state.try_set_architecture(lambda: state.editor.architecture.insert_layer(index, layer))
    if state.editor.error is None:
        state.editor.open_layer_id = state.editor.architecture.layers[index].id


def _find_last_valid_index(state: AppState, layer: Layer) -> int:
    """Find the last position before the output at which the layer causes no problem; else right before the output."""
    layers = state.editor.architecture.layers
    before_output = next((index for index, known in enumerate(layers) if known.is_output), len(layers))
    if len(layers) >= MAX_LAYERS:
        return before_output
    architecture = state.editor.architecture
    problem_count = len(validate(architecture))
    for index in range(before_output, -1, -1):
        if len(validate(architecture.insert_layer(index, layer))) <= problem_count:
            return index
    return before_output


def _render_totals(summary: Summary, state: AppState) -> None:
    architecture, recipe, run = state.editor.architecture, state.editor.recipe, state.training.find_run()
    seconds = estimate_epoch_seconds(architecture, recipe, run)
    parts = [
        (f"{summary.parameters:,}", "parameters"),
        (_format_count(summary.multiply_adds), "multiply-adds"),
        (format_shape(summary.receptive_field), "receptive field"),
    ]
    if seconds is not None:
        images = count_epoch_images(architecture, recipe, run)
        parts.append((format_seconds(seconds), f"per epoch of {images:,}" if recipe.limit else "per epoch"))
    st.html(
        '<div class="pg-totals">' + "".join(f"<span><b>{value}</b> {name}</span>" for value, name in parts) + "</div>"
    )


def _format_count(count: int) -> str:
    if count < 1_000:
        return str(count)
    return f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count / 1e3:.0f} k"
