"""Keras computes with torch here, and keeps its settings in a folder that goes away."""

import os
import tempfile

_KERAS_HOME = tempfile.TemporaryDirectory(prefix="cnn-playground-keras-")
os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = _KERAS_HOME.name
