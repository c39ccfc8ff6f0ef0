"""DRAW values as pictures and figures; knows numbers and colours, no networks and no screens."""
