"""Look inside: one input, one moment of one run, one layer, and five ways of looking at it."""

import streamlit as st

from playground.core.shapes import format_shape
from playground.core.summary import LayerSummary, summarize
from playground.engine.runs.run import Run
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html as markup
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
    "Maps": "What the layer makes of the input, and the arithmetic behind every value.",
    "Filters": "The weights, and how they changed.",
    "Excites": "What a channel reacts to most: test images, and an image made for it.",
    "Why": "Which pixels speak for an answer, and the smallest change that turns it.",
    "Operate": "Switch channels off, edit kernels, and see what that does to the accuracy.",
}


_LIVE_VIEWS = ("Maps", "Filters")
"""Views that go on to a training run's newest moment by themselves."""
_POLL_INTERVAL_S = 3.0


def render_inspect_page() -> None:
    """Choose on the left, look on the right."""
    render_playable_page(_render_page)


def _render_page(state: AppState) -> None:
    left, right = st.columns([24, 76], gap="medium")
    with left:
        markup.render_title("Look inside")
        run = choose_run(state, key="inside-run")
        model = choose_snapshot(run, key="inside-step")
        if state.inspect.view in _LIVE_VIEWS and not state.inspect.is_playing and run.is_live():
            st.fragment(_follow_newest_snapshot, run_every=_POLL_INTERVAL_S)(run, run.list_snapshot_steps()[-1])
        render_edit_notice(state, run)
        sight = get_input_spec(run)
        subject = choose_input(state, sight)
        render_prediction(model, subject, sight)
    with right:
        row = _choose_layer(state, model)
        _render_view(state, run, model, subject, row)


def _follow_newest_snapshot(run: Run, known_step: int) -> None:
    """While the run trains: draw the page anew when there is a newer moment, unless an older one was chosen."""
    markup.render_hint("Training goes on: this page follows its newest moment.")
    newest = max(run.list_snapshot_steps(), default=known_step)
    if get_app_state().inspect.selected_steps.get(run.id) is None and newest != known_step:
        st.rerun()


def _choose_layer(state: AppState, model: Model) -> LayerSummary:
    rows = {row.id: row for row in summarize(model.architecture).layers if row.enabled}
    wanted = state.inspect.layer_id if state.inspect.layer_id in rows else next(iter(rows))
    st.session_state["inside-layer"] = wanted

    def store_choice() -> None:
        now = get_app_state()
        now.inspect.layer_id = st.session_state["inside-layer"] or now.inspect.layer_id
        now.inspect.channel = None

    st.pills(
        "Layer",
        list(rows),
        key="inside-layer",
        format_func=lambda layer_id: f"{rows[layer_id].index + 1} {rows[layer_id].title}",
        on_change=store_choice,
        required=True,
        label_visibility="collapsed",
    )
    row = rows[wanted]
    markup.render_title(
        f"{row.title} {row.arguments_text}",
        note=f"{format_shape(row.input_shape)} → {format_shape(row.output_shape)} · {row.parameters:,} parameters · "
        f"{row.multiply_adds:,} multiply-adds · one value sees {format_shape(row.receptive_field)} of the input",
    )
    return row


def _render_view(state: AppState, run: Run, model: Model, model_input: ModelInput, row: LayerSummary) -> None:
    st.session_state["inside-view"] = state.inspect.view

    def store_choice() -> None:
        get_app_state().inspect.view = st.session_state["inside-view"] or "Maps"

    st.segmented_control(
        "View",
        list(VIEWS),
        key="inside-view",
        on_change=store_choice,
        required=True,
        label_visibility="collapsed",
        help="\n\n".join(f"**{name}**: {words}" for name, words in VIEWS.items()),
    )
    if state.inspect.view not in _LIVE_VIEWS and run.is_live() and state.inspect.selected_steps.get(run.id) is None:
        state.inspect.selected_steps[run.id] = model.step  # what is worked on must not change under the hands
    values = infer(model, model_input.image).find_layer(row.index)
    strongest = find_strongest_channel(values)
    match state.inspect.view:
        case "Filters":
            render_weights_view(run, model, row.index)
        case "Excites":
            render_top_activations_view(state, run, model, row, strongest)
        case "Why":
            render_attribution_view(model, model_input, row, run.get_dataset().class_names)
        case "Operate":
            render_edit_view(state, run, model, row, strongest)
        case _:
            render_maps_view(state, run, model, model_input, row.index)
