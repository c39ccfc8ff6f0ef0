"""Interpretation of models: activations, attributions, projections, predictions. It reads snapshots only."""
