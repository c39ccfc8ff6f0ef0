"""Mistakes: what the net gets wrong on the test set, from the confusion matrix down to single images."""

from collections.abc import Sequence

import streamlit as st

from playground.charts.images import single_image
from playground.engine.data.batch import Images
from playground.engine.runs.run import Run
from playground.interpret.evaluation.predictions import Verdicts, images_of, judge
from playground.interpret.evaluation.robustness import changes_for
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.confusion_matrix import confusion_matrix
from playground.ui.components.gallery import Tile, gallery
from playground.ui.forms import one_of
from playground.ui.pages.mistakes.calibration import robustness_view, trust_view
from playground.ui.pages.mistakes.embedding import embedding_view
from playground.ui.panels.edit import operated_line
from playground.ui.panels.input_picker import open_inside
from playground.ui.panels.snapshot_slider import choose_moment, choose_run, page_in_time
from playground.ui.progress import redraw, shown_progress
from playground.ui.state import AppState

_SAMPLE = 1000
_MOST_IMAGES = 60
_VIEWS = ("Confusion", "Trust", "Robustness", "Map")


def page() -> None:
    """The matrix and what lies behind its cells; how far the net can be trusted; a map of what it sees."""
    page_in_time(_page)


def _page(state: AppState) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="mistakes-head"):
        with st.container(width=260):
            markup.title("Mistakes")
            run = choose_run(state, key="mistakes-run")
        with st.container():
            model = choose_moment(run, key="mistakes-step")
    operated_line(state, run)
    data = _images(state, run)
    verdicts = shown_progress(judge(model, data), f"Asking the net about {len(data):,} test images …")
    _figures(verdicts, len(data))
    view = one_of("View", _VIEWS, key="mistakes-view")
    names = run.dataset().class_names
    match view:
        case "Trust":
            trust_view(verdicts, names)
        case "Robustness":
            robustness_view(model, data, changes_for(run.dataset()))
        case "Map":
            embedding_view(state, run, model)
        case _:
            _confusion(state, run, model, data, verdicts, names)


def _images(state: AppState, run: Run) -> Images:
    """All test images; of a moment of the past so few, unless all are asked for, that time can play."""
    if state.moments.get(run.id) is None:
        return images_of(run)
    st.toggle(
        "All test images at this moment too",
        key="mistakes-all",
        persist_state="session",
        disabled=state.is_playing,
        help=f"Moments of the past are measured on {_SAMPLE:,} of the test images, so that time can play.",
    )
    return images_of(run, None if st.session_state["mistakes-all"] and not state.is_playing else _SAMPLE)


def _figures(verdicts: Verdicts, count: int) -> None:
    wrong = int((verdicts.guesses != verdicts.labels).sum())
    _, error = verdicts.reliability()
    unsure = int((verdicts.confidence < 0.5).sum())
    markup.figures(
        [
            (f"{verdicts.accuracy:.2%}", f"right of {count:,} test images"),
            (f"{wrong:,}", "wrong"),
            (f"{unsure:,}", "guesses under 50 %"),
            (f"{error:.1%}", "calibration error"),
        ]
    )


def _confusion(state: AppState, run: Run, model: Model, data: Images, verdicts: Verdicts, names: Sequence[str]) -> None:
    left, right = st.columns([48, 52], gap="medium")
    with left:
        clicked = confusion_matrix(verdicts.confusion.tolist(), names, chosen=state.mistakes_cell, key="confusion")
        if clicked:
            state.mistakes_cell = None if clicked == state.mistakes_cell else clicked
            redraw()
        markup.hint("Rows: what an image is. Columns: what the net takes it for. Click a cell to see its images.")
    with right:
        _behind(state, run, model, data, verdicts, names)


def _behind(state: AppState, run: Run, model: Model, data: Images, verdicts: Verdicts, names: Sequence[str]) -> None:
    """The images of the chosen cell, or those most worth a look."""
    if state.mistakes_cell:
        label, guess = state.mistakes_cell
        places = verdicts.cell(label, guess)
        words = "taken for what they are" if label == guess else f"taken for {names[guess]}"
        note = "the most confident first" + (f", {_MOST_IMAGES} of them" if len(places) > _MOST_IMAGES else "")
        markup.title(f"{len(places):,} images of {names[label]} {words}", note=note)
        _gallery(state, run, data, verdicts, places[:_MOST_IMAGES].tolist(), "cell", names)
        if not len(places):
            markup.hint("No such image at this moment.")
        return
    markup.title("Most confident errors", note="what it is → what the net said, and how sure")
    _gallery(state, run, data, verdicts, verdicts.confident_errors(21).tolist(), "errors", names)
    markup.title("Most torn", note="the first two guesses are closest")
    _gallery(state, run, data, verdicts, verdicts.torn(14).tolist(), "torn", names)


def _gallery(
    state: AppState,
    run: Run,
    data: Images,
    verdicts: Verdicts,
    places: list[int],
    key: str,
    names: Sequence[str],
) -> None:
    tiles = []
    for place in places:
        label, guess = names[verdicts.labels[place]], names[verdicts.guesses[place]]
        sure = f"{verdicts.confidence[place]:.0%}"
        tiles.append(
            Tile(
                name=str(place),
                png=single_image(data.image(place), size=84),
                caption=f"{label} → {guess}\n{sure}",
                alt=f"{label} taken for {guess}, {sure} sure: look inside",
                is_bad=label != guess,
            )
        )
    if not tiles:
        return
    clicked = gallery(tiles, key=f"gallery-{key}", size=60)
    if clicked:
        open_inside(state, run, data, int(clicked))
