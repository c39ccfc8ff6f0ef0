"""The pages, each one function that ``render_app`` calls."""
