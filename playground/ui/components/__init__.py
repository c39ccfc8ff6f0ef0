"""Streamlit components in JavaScript, one Python and one JavaScript module each."""
