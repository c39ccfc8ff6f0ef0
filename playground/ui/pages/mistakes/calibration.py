"""Calibration and robustness views: metrics per class, the reliability diagram, accuracy under perturbations."""

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
    measure_robustness,
    perturb_at_every_level,
)
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.progress import run_with_progress

_SAMPLE_SIZE = 500


def render_calibration_view(evaluation: Evaluation, class_names: Sequence[str]) -> None:
    """Render the metrics of every class and the reliability diagram."""
    left, right = st.columns(2, gap="medium")
    with left:
        html.render_title("Per class")
        html.render_data_table(
            ("class", "images", "precision", "recall", "F1"),
            [
                (name, f"{one.support:,}", f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}")
                for name, one in zip(class_names, evaluation.compute_class_metrics(), strict=False)
            ],
        )
        html.render_hint(
            "Precision: share of predictions of this class that are correct. Recall: share of this class's images "
            "that are found. F1: their harmonic mean."
        )
    with right:
        calibration = evaluation.compute_calibration()
        html.render_title("Reliability diagram", note=f"expected calibration error {calibration.expected_error:.1%}")
        st.plotly_chart(
            make_reliability_figure(
                [(one.confidence, one.accuracy, one.count) for one in calibration.bins],
                get_theme(st.context.theme.type),
            ),
            key="reliability",
            config={"displayModeBar": False},
        )
        html.render_hint(
            "Each point: the images with a similar confidence. On the diagonal, confidence equals accuracy. Overall "
            f"this network is {'over-confident' if calibration.overconfidence > 0 else 'under-confident'}."
        )


def render_robustness_view(model: Model, data: LabeledImages, perturbations: Sequence[Perturbation]) -> None:
    """Render the accuracy at increasing levels of each perturbation."""
    if not perturbations:
        html.render_message("Robustness needs images. This network reads extracted features.")
        return
    html.render_hint(f"Accuracy on {_SAMPLE_SIZE} test images as the perturbation increases.")
    try:
        points = run_with_progress(measure_robustness(model, data, perturbations, count=_SAMPLE_SIZE))
    except PlaygroundError as error:
        html.render_error(error)
        return
    image = data.get_image(0)
    columns = st.columns(2, gap="medium")
    theme = get_theme(st.context.theme.type)
    for index, perturbation in enumerate(perturbations):
        info = PERTURBATIONS[perturbation]
        with columns[index % 2]:
            html.render_title(info.title, note=info.description)
            st.plotly_chart(
                make_robustness_figure(
                    [(point.level, point.accuracy) for point in points if point.perturbation == perturbation],
                    info.unit,
                    theme,
                ),
                key=f"robustness-{perturbation}",
                config={"displayModeBar": False},
            )
            examples = np.stack([example for _, example in perturb_at_every_level(image, perturbation)])
            row = render_image_grid(examples, columns=len(examples), tile_size=40, gap=8, gap_color=theme.gap_color)
            alt = f"One image at each level, from {info.levels[0]:g} to {info.levels[-1]:g} {info.unit}"
            st.image(row.png, width=min(row.width, 420), alt=alt)
