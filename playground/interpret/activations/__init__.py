"""Feature maps, weights, and the arithmetic behind one value."""
