"""Channels as the browser gets them, and the arithmetic that Python computes for them.

``python -m tests.golden.arithmetic_cases > tests/golden/arithmetic-cases.json`` writes the golden file that
tests/javascript/web/arithmetic.test.mjs compares the JavaScript implementation with. All values are multiples of 1/8,
so that sums of products are exact on every machine.
"""

import json
import sys
from typing import Any

import numpy as np

from playground.core.layers.shared.base import ExplainedOperation
from playground.interpret.activations.arithmetic import Array, ChannelExplanation, Window
from playground.ui.components.arithmetic_view import encode_explanation


def ramp(*shape: int, start: int = 0) -> Array:
    """Multiples of 1/8 from -1 to 1 in an order without symmetry."""
    count = int(np.prod(shape))
    return (((np.arange(start, start + count) * 7) % 17 - 8) / 8).astype(np.float32).reshape(shape)


def make_channel(
    rule: ExplainedOperation,
    window: Window,
    *,
    below: tuple[int, int, int],
    shape: tuple[int, int],
    has_weights: bool = False,
    bias: float | None = None,
    numbers: dict[str, float] | None = None,
) -> ChannelExplanation:
    """Make a channel; its output is a placeholder, since only its inputs and parameters enter the arithmetic."""
    return ChannelExplanation(
        layer_index=0,
        channel=0,
        operation=rule,
        window=window,
        inputs=ramp(*below),
        first_input_channel=2,
        weights=ramp(below[0], *window.kernel_size, start=5) if has_weights else None,
        bias=bias,
        activation="none",
        pre_activation=ramp(*shape),
        output=ramp(*shape),
        receptive_rows=((0, 1),) * shape[0],
        receptive_columns=((0, 1),) * shape[1],
        input_name="Conv",
        norm_parameters=numbers or {},
    )


CHANNELS = {
    "convolution": make_channel(
        "sum", Window((3, 3), padding=(1, 1)), below=(2, 4, 5), shape=(4, 5), has_weights=True, bias=0.25
    ),
    "strided and dilated convolution": make_channel(
        "sum",
        Window((3, 2), stride=2, padding=(2, 1), dilation=2),
        below=(3, 7, 6),
        shape=(4, 3),
        has_weights=True,
        bias=-1.5,
    ),
    "convolution without bias": make_channel("sum", Window((2, 2)), below=(1, 3, 3), shape=(2, 2), has_weights=True),
    "linear": make_channel("sum", Window((1, 12)), below=(1, 1, 12), shape=(1, 1), has_weights=True, bias=0.5),
    "max pooling": make_channel("largest", Window((2, 2), stride=2, padding=(1, 1)), below=(1, 4, 4), shape=(3, 3)),
    "average pooling": make_channel("mean", Window((2, 2), stride=1, padding=(1, 1)), below=(1, 3, 3), shape=(4, 4)),
    "normalization": make_channel(
        "scale",
        Window(),
        below=(1, 2, 3),
        shape=(2, 3),
        numbers={"mean": 0.25, "variance": 2.0, "eps": 0.25, "scale": -1.5, "shift": 0.125},
    ),
    "residual sum": make_channel("add", Window(), below=(2, 3, 2), shape=(3, 2)),
    "identity": make_channel("same", Window(), below=(1, 2, 2), shape=(2, 2)),
}


def make_case(name: str, channel: ChannelExplanation) -> dict[str, Any]:
    """Encode a channel with the totals of every position."""
    expected = []
    for row, column in np.ndindex(*channel.output.shape):
        found = channel.explain_value(row, column)
        totals = [term.total for term in found.contributions]
        expected.append({"row": row, "column": column, "contributions": totals, "total": found.pre_activation})
    return {"name": name, "explanation": encode_explanation(channel), "expected": expected}


def make_cases() -> list[dict[str, Any]]:
    """Make all cases as JSON values."""
    return [make_case(name, channel) for name, channel in CHANNELS.items()]


if __name__ == "__main__":
    sys.stdout.write("[\n" + ",\n".join(json.dumps(case) for case in make_cases()) + "\n]\n")
