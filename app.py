"""Opens the shell. ``streamlit run app.py``."""

from playground.ui.shell import show

show()
