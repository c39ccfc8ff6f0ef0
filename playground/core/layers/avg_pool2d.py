"""Average pooling."""

from typing import Literal

from playground.core.layers.window_pool import WindowPool


class AvgPool2d(WindowPool):
    """Keeps the mean of each window."""

    title = "Avg-pool"
    description = "Keeps the mean of each window: smaller, smoother maps."
    torch_module = "AvgPool2d"

    kind: Literal["avg_pool2d"] = "avg_pool2d"
