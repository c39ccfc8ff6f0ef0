"""Streamlit components of the playground: a live Plotly curve and the strip of layer pictures."""
