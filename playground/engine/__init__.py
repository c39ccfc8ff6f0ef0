"""Training engine: data, models, training, health diagnoses, runs and worker processes."""
