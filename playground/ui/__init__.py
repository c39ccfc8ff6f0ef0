"""SHOW everything above on a page: shell, state, forms, canvas, panels and pages."""
