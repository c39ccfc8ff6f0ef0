"""Training diagnoses: health probes, rules and suggestions."""
