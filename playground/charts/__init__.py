"""Figures, pictures and animations of numbers; no dependency on networks or on the UI."""
