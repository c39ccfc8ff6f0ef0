"""The Streamlit app: navigation, state, forms, canvas, panels and pages."""
