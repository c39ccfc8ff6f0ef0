"""Inspect page: one input, one snapshot of one run, one layer, and five views of it."""

import streamlit as st

from playground.core.shapes import format_shape
from playground.core.summary import LayerSummary, summarize
from playground.engine.runs.run import Run
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.controls import bind
from playground.ui.model_input import ModelInput, get_input_spec
from playground.ui.pages.inspect.attribution import render_attribution_view
from playground.ui.pages.inspect.maps import find_strongest_channel, render_maps_view
from playground.ui.pages.inspect.top_activations import render_top_activations_view
from playground.ui.pages.inspect.weights import render_weights_view
from playground.ui.panels.edit import render_edit_notice, render_edit_view
from playground.ui.panels.input_picker import choose_input, render_prediction
from playground.ui.panels.snapshot_slider import choose_run, choose_snapshot, render_playable_page
from playground.ui.state import AppState, get_app_state

VIEWS = {
    "Feature maps": "Activations of the layer for this input, and the arithmetic behind every value.",
    "Filters": "Weights of the layer (kernels in Keras), and their change since the start.",
    "Top activations": "Test images that activate a channel most, and an image generated to activate it.",
    "Attribution": "Pixels that raise or lower a class's score, and the smallest change that flips the prediction.",
    "Edit": "Switch channels off or edit kernels, and measure the accuracy.",
}
_DEFAULT_VIEW = next(iter(VIEWS))
_LIVE_VIEWS = ("Feature maps", "Filters")
"""Views that follow the newest snapshot of a run that is training."""
_POLL_INTERVAL_S = 3.0


def render_inspect_page() -> None:
    """Render the Inspect page: run, snapshot and input on the left, the layer on the right."""
    render_playable_page(_render_page)


def _render_page(state: AppState) -> None:
    left, right = st.columns([24, 76], gap="medium")
    with left:
        html.render_title("Inspect")
        run = choose_run(state, key="inside-run")
        model = choose_snapshot(run, key="inside-step")
        if state.inspect.view in _LIVE_VIEWS and not state.inspect.is_playing and run.is_live():
            st.fragment(_follow_newest_snapshot, run_every=_POLL_INTERVAL_S)(run, run.list_snapshot_steps()[-1])
        render_edit_notice(state, run)
        input_spec = get_input_spec(run)
        model_input = choose_input(state, input_spec)
        render_prediction(model, model_input, input_spec)
    with right:
        row = _choose_layer(state, model)
        _render_view(state, run, model, model_input, row)


def _follow_newest_snapshot(run: Run, known_step: int) -> None:
    """Rerun the page for a newer snapshot of a training run, unless an older one is selected."""
    if get_app_state().inspect.selected_steps.get(run.id) is not None:
        html.render_hint("Training continues. Move the slider to the end to follow the newest snapshot.")
        return
    html.render_hint("Training continues: this page follows the newest snapshot.")
    if max(run.list_snapshot_steps(), default=known_step) != known_step:
        st.rerun()


def _choose_layer(state: AppState, model: Model) -> LayerSummary:
    rows = {row.id: row for row in summarize(model.architecture).layers if row.enabled}
    layer_id = state.inspect.layer_id if state.inspect.layer_id in rows else next(iter(rows))

    def store_choice(chosen_id: str | None) -> None:
        current = get_app_state()
        current.inspect.layer_id = chosen_id or current.inspect.layer_id
        current.inspect.channel = None

    st.pills(
        "Layer",
        list(rows),
        **bind("inside-layer", layer_id, store_choice),
        format_func=lambda layer_id: f"{rows[layer_id].index + 1} {rows[layer_id].title}",
        required=True,
        label_visibility="collapsed",
    )
    row = rows[layer_id]
    html.render_title(
        row.label,
        note=f"{format_shape(row.input_shape)} → {format_shape(row.output_shape)} · {row.parameters:,} parameters · "
        f"{row.multiply_adds:,} multiply-adds · receptive field {format_shape(row.receptive_field)}",
    )
    return row


def _render_view(state: AppState, run: Run, model: Model, model_input: ModelInput, row: LayerSummary) -> None:

    def store_choice(view: str | None) -> None:
        get_app_state().inspect.view = view or _DEFAULT_VIEW

    st.segmented_control(
        "View",
        list(VIEWS),
        **bind("inside-view", state.inspect.view, store_choice),
        required=True,
        label_visibility="collapsed",
        help="\n\n".join(f"**{name}**: {description}" for name, description in VIEWS.items()),
    )
    if state.inspect.view not in _LIVE_VIEWS and run.is_live() and state.inspect.selected_steps.get(run.id) is None:
        state.inspect.selected_steps[run.id] = model.step  # a newer snapshot would discard the view's results
    activations = infer(model, model_input.image).find_layer(row.index)
    strongest_channel = find_strongest_channel(activations)
    match state.inspect.view:
        case "Filters":
            render_weights_view(run, model, row.index)
        case "Top activations":
            render_top_activations_view(state, run, model, row, strongest_channel)
        case "Attribution":
            render_attribution_view(model, model_input, row, run.get_dataset().class_names)
        case "Edit":
            render_edit_view(state, run, model, row, strongest_channel)
        case _:
            render_maps_view(state, run, model, model_input, row.index)
