"""Look inside: one input, one moment of one run, one layer, and five ways of looking at it."""

from dataclasses import replace

import streamlit as st

from playground.core.shapes import shape_text
from playground.core.summary import Row, summarize
from playground.engine.runs.run import Run
from playground.interpret.activations.activations import layer_values
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.model_input import Subject, sight_of
from playground.ui.pages.inspect.attribution import why_view
from playground.ui.pages.inspect.maps import chosen_channel, maps_view
from playground.ui.pages.inspect.top_activations import excites_view
from playground.ui.pages.inspect.weights import filters_view
from playground.ui.panels.edit import operate_view, operated_line
from playground.ui.panels.input_picker import choose_input, guess
from playground.ui.panels.snapshot_slider import choose_moment, choose_run, page_in_time
from playground.ui.state import AppState, app_state

VIEWS = {
    "Maps": "What the layer makes of the input, and the arithmetic behind every value.",
    "Filters": "The weights, and how they changed.",
    "Excites": "What a channel reacts to most: test images, and an image made for it.",
    "Why": "Which pixels speak for an answer, and the smallest change that turns it.",
    "Operate": "Switch channels off, edit kernels, and see what that does to the accuracy.",
}


_MOVING = ("Maps", "Filters")
"""Views that go on to a training run's newest moment by themselves."""
_NEWS_S = 3.0


def page() -> None:
    """Choose on the left, look on the right."""
    page_in_time(_page)


def _page(state: AppState) -> None:
    left, right = st.columns([24, 76], gap="medium")
    with left:
        markup.title("Look inside")
        run = choose_run(state, key="inside-run")
        model = choose_moment(run, key="inside-step")
        if state.inside_view in _MOVING and not state.is_playing and run.is_live():
            st.fragment(_newer_moments, run_every=_NEWS_S)(run, run.snapshots()[-1])
        operated_line(state, run)
        sight = sight_of(run)
        subject = choose_input(state, sight)
        guess(model, subject, sight)
    with right:
        row = _layer_choice(state, model)
        _view(state, run, model, subject, row)


def _newer_moments(run: Run, known: int) -> None:
    """While the run trains: draw the page anew when there is a newer moment, unless an older one was chosen."""
    markup.hint("Training goes on: this page follows its newest moment.")
    newest = max(run.snapshots(), default=known)
    if app_state().moments.get(run.id) is None and newest != known:
        st.rerun()


def _layer_choice(state: AppState, model: Model) -> Row:
    rows = {row.id: row for row in summarize(model.architecture).rows if row.enabled}
    wanted = state.inside_layer if state.inside_layer in rows else next(iter(rows))
    st.session_state["inside-layer"] = wanted

    def choose() -> None:
        now = app_state()
        now.inside_layer = st.session_state["inside-layer"] or now.inside_layer
        now.inside_channel = None

    st.pills(
        "Layer",
        list(rows),
        key="inside-layer",
        format_func=lambda layer_id: f"{rows[layer_id].index + 1} {rows[layer_id].title}",
        on_change=choose,
        required=True,
        label_visibility="collapsed",
    )
    row = rows[wanted]
    markup.title(
        f"{row.title} {row.detail}",
        note=f"{shape_text(row.input_shape)} → {shape_text(row.output_shape)} · {row.parameters:,} parameters · "
        f"{row.multiply_adds:,} multiply-adds · one value sees {shape_text(row.receptive_field)} of the input",
    )
    return row


def _view(state: AppState, run: Run, model: Model, subject: Subject, row: Row) -> None:
    st.session_state["inside-view"] = state.inside_view

    def choose() -> None:
        app_state().inside_view = st.session_state["inside-view"] or "Maps"

    st.segmented_control(
        "View",
        list(VIEWS),
        key="inside-view",
        on_change=choose,
        required=True,
        label_visibility="collapsed",
        help="\n\n".join(f"**{name}**: {words}" for name, words in VIEWS.items()),
    )
    if state.inside_view not in _MOVING and run.is_live() and state.moments.get(run.id) is None:
        state.moments[run.id] = model.step  # what is worked on must not change under the hands
    values = next(found for found in layer_values(model, subject.image) if found.layer_index == row.index)
    strongest = chosen_channel(replace(state, inside_channel=None), values)
    match state.inside_view:
        case "Filters":
            filters_view(run, model, row.index)
        case "Excites":
            excites_view(state, run, model, row, strongest)
        case "Why":
            why_view(model, subject, row, run.dataset().class_names)
        case "Operate":
            operate_view(state, run, model, row, strongest)
        case _:
            maps_view(state, run, model, subject, row.index)
