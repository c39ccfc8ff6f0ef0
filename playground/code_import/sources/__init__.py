"""Front ends of the import: pasted text, notebooks, Keras configurations and model files as code."""
