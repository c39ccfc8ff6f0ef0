"""Max pooling."""

from typing import Literal

from playground.core.layers.window_pool import WindowPool


class MaxPool2d(WindowPool):
    """Keeps the largest value of each window."""

    title = "Max-pool"
    description = "Keeps the largest value of each window: smaller maps that care less about exact position."
    torch_module = "MaxPool2d"

    kind: Literal["max_pool2d"] = "max_pool2d"
