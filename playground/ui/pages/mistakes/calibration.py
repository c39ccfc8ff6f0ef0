"""How far the net can be trusted: per class, by its own confidence, and under changes of the images."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from playground.charts.calibration import reliability_figure, robustness_figure
from playground.charts.images import image_grid
from playground.charts.theme import theme
from playground.engine.data.batch import Images
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predictions import Verdicts
from playground.interpret.evaluation.robustness import CHANGES, Change, Point, examples, robustness
from playground.interpret.model import Model
from playground.ui import html as markup

_COUNT = 500


def trust_view(verdicts: Verdicts, names: Sequence[str]) -> None:
    """Precision and recall of every class, and confidence against accuracy."""
    left, right = st.columns(2, gap="medium")
    with left:
        markup.title("Per class")
        markup.columns_table(
            ("class", "images", "precision", "recall", "F1"),
            [
                (name, f"{one.count:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
                for name, one in zip(names, verdicts.per_class(), strict=False)
            ],
        )
        markup.hint("Precision: how many of those called so are. Recall: how many of those that are were found.")
    with right:
        bins, error = verdicts.reliability()
        markup.title("Confidence and truth", note=f"calibration error {error:.1%}")
        st.plotly_chart(
            reliability_figure(
                [(one.confidence, one.accuracy, one.count) for one in bins], theme(st.context.theme.type)
            ),
            key="reliability",
            config={"displayModeBar": False},
        )
        over = sum(one.count * (one.confidence - one.accuracy) for one in bins)
        markup.hint(
            "Each point: images of which the net is about as sure. On the line it is as often right as it says; "
            f"this net is on the whole {'surer than it should be' if over > 0 else 'less sure than it could be'}."
        )


def robustness_view(model: Model, data: Images, changes: Sequence[Change]) -> None:
    """Accuracy as the images are turned, shifted, scaled, covered with noise, and strokes thickened."""
    if not changes:
        markup.line("This network reads features: turning or shifting them means nothing.")
        return
    markup.hint(f"How accuracy falls when {_COUNT} test images are changed more and more.")
    kept = st.session_state.get("robustness")
    points: list[Point] = kept[1] if kept and kept[0] is model else []
    if not points:
        place = st.empty()
        total = sum(len(CHANGES[change].levels) for change in changes)
        try:
            for number, point in enumerate(robustness(model, data, changes, count=_COUNT)):
                points.append(point)
                place.progress((number + 1) / total, f"{CHANGES[point.change].title} …")
        except PlaygroundError as problem:
            markup.problem(problem)
            return
        place.empty()
        st.session_state["robustness"] = (model, points)
    image = data.image(0)
    columns = st.columns(2, gap="medium")
    colours = theme(st.context.theme.type)
    for number, change in enumerate(changes):
        info = CHANGES[change]
        mine = [point for point in points if point.change == change]
        with columns[number % 2]:
            markup.title(info.title, note=info.words)
            st.plotly_chart(
                robustness_figure([(point.level, point.accuracy) for point in mine], info.unit, colours),
                key=f"robustness-{change}",
                config={"displayModeBar": False},
            )
            every = np.stack([changed for _, changed in examples(image, change)])
            row = image_grid(every, columns=len(every), tile_size=40, gap=8, gap_colour=colours.gap)
            words = f"An image at each of these levels, from {info.levels[0]:g} to {info.levels[-1]:g} {info.unit}"
            st.image(row.png, width=min(row.width, 420), alt=words)
