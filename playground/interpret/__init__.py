"""INSIDE: ways of looking into a model. A lens reads a snapshot, never the net that is being trained."""
