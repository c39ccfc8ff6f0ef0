"""Browser engine: JavaScript that runs a network and rasterizes strokes, and the network files that it reads."""
