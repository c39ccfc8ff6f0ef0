"""Why the net answers as it does: five attributions side by side, and the smallest change that turns the answer."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import map_grid, single_image
from playground.charts.theme import theme
from playground.core.summary import Row
from playground.errors import PlaygroundError
from playground.interpret.attribution.counterfactual import Counterfactual, counterfactual
from playground.interpret.attribution.pixel_attribution import METHODS, Attribution, Method, attribute, cam_layers
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.model_input import Subject
from playground.ui.progress import stoppable

Array = NDArray[np.float32]
_SIZE = 168
_MOST_PILLS = 12


def why_view(model: Model, subject: Subject, row: Row, names: Sequence[str]) -> None:
    """For a class: what speaks for it, by every method, with what each of them does and does not show."""
    prediction = predict(model, [subject.image])[0]
    target = _choose_class(names, prediction.first)
    layers = cam_layers(model)
    layer_index = row.index if row.index in layers else (layers[-1] if layers else None)
    with st.container(horizontal=True, gap="medium", key="why"):
        for method, info in METHODS.items():
            if method != "grad_cam" or layer_index is not None:
                _tile(model, subject, target, method, info.title, info.words, layer_index)
    if layer_index is None:
        markup.hint("Grad-CAM needs a convolution, and this net has none.")
    _counterfactual(model, subject, prediction.first, target, names)


def _choose_class(names: Sequence[str], guess: int) -> int:
    classes = len(names)
    if classes > _MOST_PILLS:
        return int(
            st.selectbox(
                "What speaks for",
                range(classes),
                index=guess,
                key=f"why-class-{classes}-{guess}",
                format_func=lambda place: names[place],
                width=260,
            )
        )
    # Another drawing has another guess, and begins with that.
    chosen = st.pills(
        "What speaks for",
        list(range(classes)),
        key=f"why-class-{classes}-{guess}",
        default=guess,
        required=True,
        format_func=lambda place: names[place] + (" (the guess)" if place == guess else ""),
    )
    return int(guess if chosen is None else chosen)


def _tile(
    model: Model, subject: Subject, target: int, method: Method, title: str, words: str, layer_index: int | None
) -> None:
    with st.container(width=_SIZE + 8, gap="small"):
        layer = layer_index if method == "grad_cam" else None
        where = "" if layer is None else f" at layer {layer + 1}"
        markup.title(title + where)
        try:
            found = _attribution(model, subject.image.tobytes(), subject.image.shape, target, method, layer)
        except PlaygroundError as problem:
            markup.problem(problem)
            return
        values = found.values
        signed = float(values.min()) < 0
        palette = theme(st.context.theme.type).diverging if signed else "sequential"
        grid = map_grid(values[None], palette=palette, tile_size=_SIZE, gap=0)
        st.image(grid.png, width=_SIZE, alt=f"{title}: from {values.min():.3g} to {values.max():.3g}")
        markup.legend(palette, grid.low, grid.high)
        markup.hint(words)


@lru_cache(maxsize=12)
def _attribution(
    model: Model, content: bytes, shape: tuple[int, ...], target: int, method: Method, layer_index: int | None
) -> Attribution:
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    return attribute(model, image, target, method, layer_index=layer_index)


def _counterfactual(model: Model, subject: Subject, guess: int, target: int, names: Sequence[str]) -> None:
    markup.title("The smallest change that turns the answer", note="how close the image is to another class")
    wanted = None if target == guess else target
    whom = "the second guess" if wanted is None else names[wanted]
    key = (model, subject.image.tobytes(), wanted)
    if st.button(f"Find the smallest change to {whom}", key="counterfactual-start"):
        st.session_state["counterfactual"] = (key, _search(model, subject.image, wanted))
    kept = st.session_state.get("counterfactual")
    if kept and kept[0] == key and kept[1] is not None:
        _changed(subject.image, kept[1], names[kept[1].target])


def _search(model: Model, image: Array, target: int | None) -> Counterfactual | None:
    found: Counterfactual | None = None
    try:
        with stoppable("counterfactual-stop") as place:
            for progress, found in counterfactual(model, image, target):
                place.progress(progress, f"changed by {found.distance:.2f}" if found.found else "not turned yet")
    except PlaygroundError as problem:
        markup.problem(problem)
    return found


def _changed(image: Array, found: Counterfactual, name: str) -> None:
    around_zero = theme(st.context.theme.type).diverging
    with st.container(horizontal=True, gap="medium"):
        for title, png in (
            ("before", single_image(image, size=_SIZE)),
            (
                "the change",
                map_grid(found.change.mean(axis=0, keepdims=True), palette=around_zero, tile_size=_SIZE, gap=0).png,
            ),
            (f"now {name}", single_image(found.image, size=_SIZE)),
        ):
            with st.container(width=_SIZE + 8, gap="small"):
                st.image(png, width=_SIZE, alt=title)
                markup.hint(title)
    if found.found:
        size = float(np.linalg.norm(image))
        markup.line(
            f"A change of length {found.distance:.2f} (the image itself has {size:.2f}) makes it {name} for "
            f"the net, {found.probability:.0%}. The smaller, the closer the net was to changing its mind."
        )
    else:
        markup.line(f"No change was found that makes it {name}; this is the closest.", kind="warn")
