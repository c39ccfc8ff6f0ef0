"""Entry point of the app: ``streamlit run app.py``."""

from playground.ui.navigation import render_app

render_app()
