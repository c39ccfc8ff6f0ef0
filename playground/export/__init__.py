"""Export targets of a run."""
