"""An animation: frames of one size in their order, each with its caption, the last held longest."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageSequence

from playground.charts.gif import encode_gif
from playground.charts.images import render_feature_maps


def _frame(value: float) -> bytes:
    return render_feature_maps(np.full((1, 4, 4), value, dtype=np.float32), palette="ink", tile_size=40, gap=0).png


def test_every_frame_is_there_in_its_order() -> None:
    shades = (0.0, 0.5, 1.0)
    animation = Image.open(
        BytesIO(encode_gif([(_frame(shade), f"step {shade}") for shade in shades], background=(255, 255, 255)))
    )
    frames = ImageSequence.Iterator(animation)
    shown = [(frame.convert("L").getpixel((20, 20)), frame.info["duration"]) for frame in frames]
    seen, shown_ms = zip(*shown, strict=True)
    assert seen == pytest.approx((0, 128, 255), abs=2)
    assert shown_ms[-1] > 5 * shown_ms[0]
    assert animation.height > 40  # room for the caption
    assert np.asarray(animation.convert("L"))[42:].min() < 100  # which is written in dark ink on a light page


def test_animation_without_a_frame_is_none() -> None:
    with pytest.raises(ValueError, match="frame"):
        encode_gif([], background=(0, 0, 0))
