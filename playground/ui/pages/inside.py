"""Look inside: one input, one moment of one run, one layer; its maps, its weights, its figures."""

from typing import Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import (
    Scaling,
    alternative_text,
    as_maps,
    map_grid,
    single_image,
    suitable_palette,
)
from playground.charts.theme import theme
from playground.engine.catalogue import all_runs
from playground.engine.store import PRETRAINED, Run
from playground.errors import PlaygroundError
from playground.lens.activations import LayerValues, layer_values, statistics
from playground.lens.filters import Weights, layer_weights
from playground.lens.model import Model, load_model
from playground.lens.pictures import uploaded_input
from playground.lens.predict import predict, probabilities_of
from playground.spec.datasets import find_dataset
from playground.spec.shapes import shape_text
from playground.spec.summary import summarize
from playground.ui import markup
from playground.ui.server import pretrained
from playground.ui.state import AppState, app_state, run_history
from playground.ui.subject import Subject, drawn_subject, example, test_subject

Array = NDArray[np.float32]
Part = Literal["Feature maps", "Filters"]
_MAX_UPLOAD_MB = 20


def page() -> None:
    """Choose on the left, look on the right."""
    state = app_state()
    left, right = st.columns([26, 74], gap="medium")
    with left:
        run = _run_choice(state)
        model = _moment_choice(run)
        subject = _input_choice(state)
        _guess(model, subject)
    with right:
        index = _layer_choice(state, model)
        _layer(model, subject, index)


def _run_choice(state: AppState) -> Run:
    runs = [run for run in all_runs()[0] if run.snapshots()]
    choices = {run.id: run for run in (*runs, pretrained())}
    wanted = state.inside_run or state.run_id or PRETRAINED
    st.session_state["inside-run"] = wanted if wanted in choices else PRETRAINED

    def choose() -> None:
        app_state().inside_run = st.session_state["inside-run"]

    markup.title("Look inside")
    chosen = st.selectbox(
        "Run",
        list(choices),
        key="inside-run",
        format_func=lambda run_id: "Pretrained model" if run_id == PRETRAINED else choices[run_id].record.name,
        on_change=choose,
        help="Whose network to look into. A run that is still training can be looked into too.",
    )
    return choices[chosen]


def _moment_choice(run: Run) -> Model:
    steps = run.snapshots()
    if len(steps) == 1:
        return load_model(run, steps[0])
    history = run_history(run)
    key = f"inside-step-{run.id}"
    moment = app_state().moments.get(run.id)  # none: the newest, also while newer ones come
    if moment is not None and moment not in steps:
        moment = _nearest(steps, moment)  # it was thinned away
    st.session_state[key] = steps[-1] if moment is None else moment

    def choose() -> None:
        chosen = st.session_state[key]
        app_state().moments[run.id] = None if chosen == steps[-1] else chosen

    chosen = st.select_slider(
        "Moment",
        steps,
        key=key,
        on_change=choose,
        format_func=lambda step: "untrained" if step == 0 else f"step {step:,} (epoch {history.epoch_at(step):.2f})",
        help="Snapshots of the weights, from before training to the latest.",
    )
    return load_model(run, chosen)


def _nearest(steps: tuple[int, ...], wanted: int) -> int:
    return min(steps, key=lambda step: abs(step - wanted))


def _input_choice(state: AppState) -> Subject:
    kind = st.segmented_control(
        "Input",
        ["Drawing", "Test image", "Upload"],
        key="inside-input",
        default="Drawing",
        required=True,
        persist_state="session",
        help="The drawing is the one on the Playground page.",
    )
    try:
        subject = _subject(state, kind or "Drawing")
    except PlaygroundError as problem:
        markup.problem(problem)
        subject = example()
    with st.container(key="seen"):
        st.image(single_image(subject.image[0], size=168), width=168, alt=f"The input: {subject.origin}")
    label = "" if subject.label is None else f", labelled {subject.label}"
    markup.hint(f"The input: {subject.origin}{label}; 28×28 values from 0 to 1.")
    return subject


def _subject(state: AppState, kind: str) -> Subject:
    if kind == "Test image":
        index = st.number_input(
            "Number",
            0,
            9_999,
            0,
            key="inside-test",
            help="Of the 10,000 test images.",
            persist_state="session",
        )
        return test_subject(int(index or 0))
    if kind == "Upload":
        file = st.file_uploader(
            "A picture of a digit",
            type=["png", "jpg", "jpeg", "webp", "bmp"],
            key="inside-upload",
            max_upload_size=_MAX_UPLOAD_MB,
        )
        if file is not None:
            return Subject(uploaded_input(file.name, file.getvalue()), file.name)
    return drawn_subject(state)


def _guess(model: Model, subject: Subject) -> None:
    prediction = predict(model, [subject.image])[0]
    markup.guess(prediction.first, prediction.words)


def _layer_choice(state: AppState, model: Model) -> int:
    """The index of the chosen layer among the network's layers."""
    rows = {row.id: row for row in summarize(model.architecture).rows if row.enabled}
    wanted = state.inside_layer if state.inside_layer in rows else next(iter(rows))
    st.session_state["inside-layer"] = wanted

    def choose() -> None:
        app_state().inside_layer = st.session_state["inside-layer"] or state.inside_layer

    st.pills(
        "Layer",
        list(rows),
        key="inside-layer",
        format_func=lambda layer_id: f"{rows[layer_id].index + 1} {rows[layer_id].title}",
        on_change=choose,
        required=True,
        label_visibility="collapsed",
    )
    row = rows[wanted]
    markup.title(
        f"{row.title} {row.detail}",
        note=f"{shape_text(row.input_shape)} → {shape_text(row.output_shape)} · {row.parameters:,} parameters · "
        f"{row.multiply_adds:,} multiply-adds · one value sees {shape_text(row.receptive_field)} of the input",
    )
    return row.index


def _layer(model: Model, subject: Subject, index: int) -> None:
    weights = layer_weights(model, index)
    parts: list[Part] = ["Feature maps", *(["Filters"] if weights else [])]  # type: ignore[list-item]
    values = next(found for found in layer_values(model, subject.image) if found.layer_index == index)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        part = st.segmented_control("Show", parts, key=f"inside-part-{len(parts)}", default=parts[0], required=True)
        before = values.before is not None and part != "Filters" and _before_choice()
        scaling: Scaling = "map" if _scale_choice() == "one a map" else "layer"
    if part == "Filters":
        for found in weights:
            _filters(found, scaling)
    else:
        _maps(model, values, before=before, scaling=scaling)


def _before_choice() -> bool:
    chosen = st.segmented_control(
        "Values",
        ["after activation", "before activation"],
        key="inside-before",
        default="after activation",
        required=True,
        persist_state="session",
    )
    return chosen == "before activation"


def _scale_choice() -> str:
    return st.segmented_control(
        "Colour scale",
        ["one a layer", "one a map"],
        key="inside-scale",
        default="one a layer",
        required=True,
        persist_state="session",
        help="One a layer: maps can be compared. One a map: faint ones show too.",
    )


def _maps(model: Model, values: LayerValues, *, before: bool, scaling: Scaling) -> None:
    shown = values.before if before and values.before is not None else values.after
    layer = model.architecture.layers[values.layer_index]
    if layer.kind == "output":
        _scores(values)
        return
    maps = as_maps(shown)
    palette = suitable_palette(shown)
    figures = statistics(shown)
    columns = min(len(maps), 8 if len(maps) > 4 else 4)
    tile = 96 if len(maps) > 8 else 150
    grid = map_grid(
        maps,
        palette=palette,
        columns=columns,
        tile_size=tile if len(maps) > 1 else 320,
        gap=6,
        scaling=scaling,
        gap_colour=theme(st.context.theme.type).gap,
    )
    st.image(
        grid.png,
        width=grid.width,
        alt=alternative_text(layer.title, shown.shape, figures.minimum, figures.maximum, figures.zeros),
    )
    if scaling == "layer":
        markup.legend(palette, grid.low, grid.high)
    noun = "maps" if shown.ndim == 3 else "values"
    silent = f"{figures.silent} of {len(shown)} {noun}" if shown.ndim == 3 else f"{figures.silent} of {len(shown)}"
    markup.table(
        [
            ("Smallest, largest", f"{figures.minimum:.4g}, {figures.maximum:.4g}"),
            ("Mean", f"{figures.mean:.4g}"),
            ("Exactly zero", f"{figures.zeros:.1%} of the values"),
            ("Silent for this input", silent),
        ]
    )
    if scaling == "map" and shown.ndim == 3:
        with st.expander("The range of each map", type="compact"):
            _ranges(shown)


def _ranges(maps: Array) -> None:
    st.dataframe(
        {
            "map": list(range(1, len(maps) + 1)),
            "smallest": [float(values.min()) for values in maps],
            "largest": [float(values.max()) for values in maps],
            "mean": [float(values.mean()) for values in maps],
        },
        hide_index=True,
        height=240,
    )


def _scores(values: LayerValues) -> None:
    """The output layer: each class's score, and the probability that softmax (or the sigmoid) makes of it."""
    prediction = probabilities_of(values.after)
    names = find_dataset("mnist").class_names
    names = names if len(names) == len(prediction.probabilities) else tuple(map(str, range(len(values.after))))
    markup.hint("Probabilities in per cent:")
    with st.container(width=420):
        markup.bars(names, markup.Answer("", prediction.probabilities, prediction.first))
    markup.hint("The scores (logits) they come from: softmax takes e to the power of each, over the sum of all.")
    markup.table([(name, f"{score:+.3f}") for name, score in zip(names, values.after.tolist(), strict=False)])


def _filters(weights: Weights, scaling: Scaling) -> None:
    kernels = weights.kernels
    outputs, inputs = kernels.shape[:2]
    if not weights.on_maps:
        maps, columns = kernels.reshape(1, outputs, inputs), 1
        words = f"{outputs} rows, one a value of the layer; {inputs} columns, one a value below."
    elif inputs == 1:
        maps, columns = kernels[:, 0], min(outputs, 8)
        words = f"{outputs} kernels, one an output channel."
    else:
        chosen = _output_choice(outputs, weights.name)
        maps, columns = kernels[chosen - 1], min(inputs, 8)
        what = "one an input channel" if weights.kind == "convolution" else "laid back onto the maps below"
        words = f"Output {chosen} of {outputs}: its {inputs} kernels, {what}."
    if weights.name:
        markup.title(weights.name)
    markup.hint(words)
    grid = map_grid(
        maps,
        palette="diverging",
        columns=columns,
        tile_size=64 if len(maps) > 1 else 640,
        gap=6,
        scaling=scaling,
        gap_colour=theme(st.context.theme.type).gap,
    )
    alt = f"Weights from {float(maps.min()):.3g} to {float(maps.max()):.3g}"
    st.image(grid.png, width=grid.width, alt=alt)
    if scaling == "layer":
        markup.legend("diverging", grid.low, grid.high)
    rows: list[tuple[str, str]] = [
        ("Smallest, largest", f"{float(maps.min()):.4g}, {float(maps.max()):.4g}"),
        ("Mean", f"{float(maps.mean()):.4g}"),
    ]
    if weights.bias is not None:
        rows.append(("Biases", f"{float(weights.bias.min()):.4g} to {float(weights.bias.max()):.4g}"))
    markup.table(rows)


def _output_choice(outputs: int, name: str) -> int:
    return int(
        st.number_input(
            "Output channel",
            1,
            outputs,
            1,
            key=f"inside-output-{outputs}-{name}",
            width=160,
            help="Every output channel has one kernel for each channel below.",
        )
        or 1
    )
