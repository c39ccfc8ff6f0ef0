"""How far the net can be trusted: per class, by its own confidence, and under changes of the images."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from playground.charts.calibration import make_reliability_figure, make_robustness_figure
from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.engine.data.batch import LabeledImages
from playground.engine.metrics import Evaluation
from playground.errors import PlaygroundError
from playground.interpret.evaluation.robustness import (
    PERTURBATIONS,
    Perturbation,
    RobustnessPoint,
    measure_robustness,
    perturb_at_every_level,
)
from playground.interpret.model import Model
from playground.ui import html as markup

_SAMPLE_SIZE = 500


def render_calibration_view(evaluation: Evaluation, class_names: Sequence[str]) -> None:
    """Precision and recall of every class, and confidence against accuracy."""
    left, right = st.columns(2, gap="medium")
    with left:
        markup.render_title("Per class")
        markup.render_data_table(
            ("class", "images", "precision", "recall", "F1"),
            [
                (name, f"{one.support:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
                for name, one in zip(class_names, evaluation.compute_class_metrics(), strict=False)
            ],
        )
        markup.render_hint("Precision: how many of those called so are. Recall: how many of those that are were found.")
    with right:
        calibration = evaluation.compute_calibration()
        markup.render_title("Confidence and truth", note=f"calibration error {calibration.expected_error:.1%}")
        st.plotly_chart(
            make_reliability_figure(
                [(one.confidence, one.accuracy, one.count) for one in calibration.bins],
                get_theme(st.context.theme.type),
            ),
            key="reliability",
            config={"displayModeBar": False},
        )
        markup.render_hint(
            "Each point: images of which the net is about as sure. On the line it is as often right as it says; "
            f"this net is on the whole {'surer than it should be' if calibration.overconfidence > 0 else 'less sure than it could be'}."
        )


def render_robustness_view(model: Model, data: LabeledImages, perturbations: Sequence[Perturbation]) -> None:
    """Accuracy as the images are turned, shifted, scaled, covered with noise, and strokes thickened."""
    if not perturbations:
        markup.render_message("This network reads features: turning or shifting them means nothing.")
        return
    markup.render_hint(f"How accuracy falls when {_SAMPLE_SIZE} test images are changed more and more.")
    kept = st.session_state.get("robustness")
    points: list[RobustnessPoint] = kept[1] if kept and kept[0] is model else []
    if not points:
        place = st.empty()
        try:
            for progress, point in measure_robustness(model, data, perturbations, count=_SAMPLE_SIZE):
                points.append(point)
                place.progress(progress.fraction, f"{progress.stage} …")
        except PlaygroundError as problem:
            markup.render_error(problem)
            return
        place.empty()
        st.session_state["robustness"] = (model, points)
    image = data.get_image(0)
    columns = st.columns(2, gap="medium")
    colours = get_theme(st.context.theme.type)
    for number, change in enumerate(perturbations):
        info = PERTURBATIONS[change]
        mine = [point for point in points if point.perturbation == change]
        with columns[number % 2]:
            markup.render_title(info.title, note=info.description)
            st.plotly_chart(
                make_robustness_figure([(point.level, point.accuracy) for point in mine], info.unit, colours),
                key=f"robustness-{change}",
                config={"displayModeBar": False},
            )
            every = np.stack([changed for _, changed in perturb_at_every_level(image, change)])
            row = render_image_grid(every, columns=len(every), tile_size=40, gap=8, gap_color=colours.gap_color)
            words = f"An image at each of these levels, from {info.levels[0]:g} to {info.levels[-1]:g} {info.unit}"
            st.image(row.png, width=min(row.width, 420), alt=words)
