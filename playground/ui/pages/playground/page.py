"""The Playground page: build, train, draw and watch, on one screen."""

import streamlit as st

from playground.ui.pages.playground.draw import draw_panel
from playground.ui.pages.playground.network import network_panel
from playground.ui.pages.playground.training import training_panel
from playground.ui.state import app_state


def page() -> None:
    """Network, training and drawing side by side; the digit's way through the net below."""
    state = app_state()
    with st.container(key="panels"):
        left, middle, right = st.columns([32, 37, 31], gap="medium")
    strip = st.container(key="way", gap="small")
    with left:
        network_panel(state)
    with middle:
        training_panel(state)
    with strip:
        st.html("<span></span>")  # a fragment may only write into a container that the page itself has written into
    with right:
        draw_panel(state, strip)
