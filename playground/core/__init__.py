"""WHAT a network and its training are: values without torch, files, screens or clocks."""
