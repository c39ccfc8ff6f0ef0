"""The editor of one layer: its form, its inner layers and the actions on its row."""

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import streamlit as st

from playground.core.architecture import Architecture
from playground.core.layers import LAYER_KINDS, Layer
from playground.core.summary import LayerSummary
from playground.ui import html
from playground.ui.actions import sync_dropout_rates
from playground.ui.forms import render_model_form
from playground.ui.state import AppState, get_app_state


def render_layer_editor(state: AppState, row: LayerSummary) -> None:
    """Render the form of one layer, its inner layers and its actions."""
    layer = state.editor.architecture.layers[row.index]
    with st.container(key=f"editor-{row.id}", gap="small"):
        html.render_hint(layer.description)
        render_model_form(
            layer,
            key=f"field-{row.id}",
            on_change=lambda name, value: _set_layer_field(row.id, name, value),
            disabled=layer.inactive_fields,
        )
        if layer.inner_layers:
            _render_inner_layers(row.id, layer)
        _render_layer_actions(row, len(state.editor.architecture.layers))


def _set_layer_field(layer_id: str, name: str, value: Any) -> None:
    state = get_app_state()
    index = state.editor.architecture.find_layer_index(layer_id)
    layer = state.editor.architecture.layers[index]
    state.try_set_architecture(lambda: state.editor.architecture.replace_layer(index, layer.replace(**{name: value})))
    sync_dropout_rates()


def _render_inner_layers(layer_id: str, block: Layer) -> None:
    for number, inner in enumerate(block.inner_layers):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.html(
                f'<div class="pg-inner">{number + 1} {escape(inner.title)} {escape(inner.format_arguments())}</div>'
            )
            st.button(
                "Remove",
                key=f"inner-delete-{layer_id}-{number}",
                disabled=len(block.inner_layers) == 1,
                on_click=_set_layer_field,
                args=(layer_id, "layers", (*block.inner_layers[:number], *block.inner_layers[number + 1 :])),
            )
        render_model_form(
            inner,
            key=f"inner-{layer_id}-{number}",
            on_change=partial(_set_inner_layer_field, layer_id, block, number),
            field_names=inner.block_form_fields,
            disabled=inner.inactive_fields,
        )
    if block.projection_layers:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            titles = (f"{inner.title} {inner.format_arguments()}".strip() for inner in block.projection_layers)
            st.html(f'<div class="pg-inner">Shortcut: {escape(" + ".join(titles))}</div>')
            st.button(
                "Derive",
                key=f"projection-{layer_id}",
                help="Derive the shortcut from the shapes: the identity, or a 1×1 convolution.",
                on_click=_set_layer_field,
                args=(layer_id, "projection", ()),
            )
    kinds = {kind: layer.title for kind, layer in LAYER_KINDS.items() if layer.can_be_in_block}
    chosen = st.menu_button(
        "Add inner layer",
        list(kinds),
        key=f"inner-add-{layer_id}",
        format_func=lambda kind: kinds[kind],
        disabled=len(block.inner_layers) >= 8,
    )
    if chosen:
        fields = {"padding": "same"} if "padding" in LAYER_KINDS[chosen].model_fields else {}
        _set_layer_field(layer_id, "layers", (*block.inner_layers, LAYER_KINDS[chosen].model_validate(fields)))
        st.rerun()


def _set_inner_layer_field(layer_id: str, block: Layer, inner_index: int, name: str, value: Any) -> None:
    state = get_app_state()
    index = state.editor.architecture.find_layer_index(layer_id)

    def build_architecture() -> Architecture:
        layers = list(block.inner_layers)
        layers[inner_index] = layers[inner_index].replace(**{name: value})
        return state.editor.architecture.replace_layer(index, block.with_inner_layers(layers))

    state.try_set_architecture(build_architecture)
    sync_dropout_rates()


def _render_layer_actions(row: LayerSummary, layer_count: int) -> None:
    index = row.index
    toggle = ("Disable", ":material/visibility_off:") if row.enabled else ("Enable", ":material/visibility:")
    specs: tuple[tuple[str, str, str, bool, Callable[[Architecture], Architecture]], ...] = (
        ("up", "Up", ":material/arrow_upward:", index == 0, lambda network: network.move_layer(index, -1)),
        (
            "down",
            "Down",
            ":material/arrow_downward:",
            index == layer_count - 1,
            lambda network: network.move_layer(index, 1),
        ),
        ("duplicate", "Duplicate", ":material/content_copy:", False, lambda network: network.duplicate_layer(index)),
        ("toggle", *toggle, False, lambda network: network.toggle_layer(index)),
        ("delete", "Delete", ":material/delete:", False, lambda network: network.replace_layer(index)),
    )
    with st.container(horizontal=True, gap="small", key=f"actions-{row.id}"):
        for name, label, icon, disabled, edit in specs:
            st.button(
                label,
                key=f"{name}-{row.id}",
                icon=icon,
                disabled=disabled,
                on_click=_edit_architecture,
                args=(edit,),
                type="tertiary",
                wrap=False,
            )


def _edit_architecture(edit: Callable[[Architecture], Architecture]) -> None:
    state = get_app_state()
    state.try_set_architecture(lambda: edit(state.editor.architecture))
