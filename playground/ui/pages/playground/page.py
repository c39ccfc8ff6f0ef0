"""The Playground page: network, training, drawing and feature maps on one screen."""

import streamlit as st

from playground.ui.pages.playground.draw import render_draw_panel
from playground.ui.pages.playground.first_steps import render_first_steps
from playground.ui.pages.playground.network import render_network_panel
from playground.ui.pages.playground.training import render_training_panel
from playground.ui.state import get_app_state


def render_playground_page() -> None:
    """Render the first steps, then network, training and drawing side by side, and the feature strip below."""
    state = get_app_state()
    render_first_steps(state)
    with st.container(key="panels"):
        left, middle, right = st.columns([32, 37, 31], gap="medium")
    strip = st.container(key="way", gap="small")
    weights = st.container(key="live-network", gap=None)
    for container in (strip, weights):
        container.html("<span></span>")  # a fragment may only write into what the page itself has written into
    with left:
        render_network_panel(state)
    with middle:
        render_training_panel(state, weights)
    with right:
        render_draw_panel(state, strip)
