"""DRAW values as pictures and figures; knows numbers and colors, no networks and no screens."""
