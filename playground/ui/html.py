"""HTML elements that Streamlit lacks. All texts are escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import streamlit as st

from playground.charts.theme import LIGHT, Palette, Theme, to_css_gradient
from playground.errors import PlaygroundError


def render_title(text: str, *, note: str = "") -> None:
    """Render the title of a panel, with a note beside it."""
    st.html(f'<div class="pg-title">{escape(text)}<span class="pg-note">{escape(note)}</span></div>')


def render_metrics(items: Sequence[tuple[str, str]]) -> None:
    """Render large values in a row, each with its label."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in items)
    st.html(f'<div class="pg-figures">{cells}</div>')


def render_message(text: str, *, severity: str = "", details: Mapping[str, float] | None = None) -> None:
    """Render a line of text in a tinted box; ``details`` are shown as its tooltip."""
    tooltip = " · ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in (details or {}).items())
    st.html(f'<div class="pg-line {escape(severity)}" role="status" title="{escape(tooltip)}">{escape(text)}</div>')


def render_hint(text: str) -> None:
    """Render a muted remark."""
    st.html(f'<div class="pg-hint">{escape(text)}</div>')


def render_refusal(reason: str) -> None:
    """Render the reason why a control refused a value, below it."""
    st.html(f'<div class="pg-refused" role="alert">{escape(reason)}</div>')


_MAX_BARS = 12


class ClassProbabilities(NamedTuple):
    """A model's class probabilities, and the class to emphasize."""

    model_name: str
    probabilities: Sequence[float]
    predicted_class: int


def render_probability_bars(class_names: Sequence[str], *answers: ClassProbabilities) -> None:
    """Render a bar per class for one or several models side by side; of many classes only the most probable."""
    class_indices: Sequence[int] = range(len(class_names))
    if len(class_names) > _MAX_BARS:
        probabilities = answers[0].probabilities
        class_indices = sorted(class_indices, key=lambda index: -probabilities[index])[:_MAX_BARS]
    wide = " wide" if max(len(class_names[index]) for index in class_indices) > 2 else ""
    bars = "".join(_format_bars(class_names, class_indices, answer) for answer in answers)
    st.html(f'<div class="pg-answers{wide}">{bars}</div>')


def _format_bars(class_names: Sequence[str], class_indices: Sequence[int], answer: ClassProbabilities) -> str:
    rows = []
    for index in class_indices:
        value, name = answer.probabilities[index], class_names[index]
        css_class = " strong" if index == answer.predicted_class else ""
        rows.append(
            f'<div class="pg-bar{css_class}" role="listitem" aria-label="{escape(name)}: {value:.1%}">'
            f'<b>{escape(name)}</b><i><u style="width:{value * 100:.1f}%"></u></i>'
            f"<span>{value * 100:.0f}</span></div>"
        )
    heading = f'<div class="pg-note">{escape(answer.model_name)}</div>' if answer.model_name else ""
    return f'<div class="pg-bars" role="list">{heading}{"".join(rows)}</div>'


def render_images(*images: tuple[bytes, int, str]) -> None:
    """Render small images in a row, each a PNG with its width in CSS pixels and its name."""
    parts = (
        f'<figure><img src="data:image/png;base64,{base64.b64encode(png).decode()}" width="{width}" height="{width}" '
        f'alt="{escape(name)}"><figcaption>{escape(name)}</figcaption></figure>'
        for png, width, name in images
    )
    st.html(f'<div class="pg-pictures">{"".join(parts)}</div>')


def render_photo(jpeg: bytes, max_height: int, alt: str) -> None:
    """Render a photo, as a JPEG, at most ``max_height`` CSS pixels high."""
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    st.html(f'<img class="pg-photo" src="{url}" alt="{escape(alt)}" style="max-height: {max_height}px">')


def render_image_table(rows: Sequence[tuple[str, bytes, str]]) -> None:
    """Render images below each other, each a name, a PNG and an alternative text."""
    parts = (
        f"<tr><th>{escape(name)}</th><td>"
        f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(alt)}"></td></tr>'
        for name, png, alt in rows
    )
    st.html(f'<table class="pg-rows">{"".join(parts)}</table>')


def render_predicted_class(
    class_name: str,
    remark: str,
    probability_history: Sequence[tuple[int, Sequence[float]]] = (),
    colors: Theme = LIGHT,
    *,
    predicted_class: int = 0,
) -> None:
    """Render the predicted class, a remark, and the history of every class's probability as (step, probabilities).

    ``predicted_class``: index of the class whose line is emphasized.
    """
    chart = (
        _format_probability_history(probability_history, class_name, predicted_class, colors)
        if len(probability_history) > 1
        else ""
    )
    long = ' class="long"' if len(class_name) > 2 else ""
    st.html(f'<div class="pg-guess"><b{long}>{escape(class_name)}</b><span>{escape(remark)}</span>{chart}</div>')


def _format_probability_history(
    probability_history: Sequence[tuple[int, Sequence[float]]], class_name: str, predicted_class: int, colors: Theme
) -> str:
    lines = []
    for index in sorted(range(len(probability_history[0][1])), key=lambda index: index == predicted_class):
        points = " ".join(
            f"{number * 150 / (len(probability_history) - 1):.1f},{34 - 32 * values[index]:.1f}"
            for number, (_, values) in enumerate(probability_history)
        )
        stroke, width = (colors.accent, 2) if index == predicted_class else (colors.muted, 0.8)
        lines.append(f'<polyline fill="none" stroke="{stroke}" stroke-width="{width}" points="{points}"/>')
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 36">{"".join(lines)}</svg>'
    source = base64.b64encode(svg.encode()).decode()
    first_step, last_step = probability_history[0][0], probability_history[-1][0]
    alt = f"Class probabilities from step {first_step:,} to step {last_step:,}; bold: {escape(class_name)}"
    return f'<img src="data:image/svg+xml;base64,{source}" alt="{alt}" title="{alt}">'


def render_legend(palette: Palette, low: float, high: float) -> None:
    """Render a color scale with the values at its ends."""
    st.html(
        f'<div class="pg-legend"><span>{low:.3g}</span>'
        f'<i style="background:{to_css_gradient(palette)}"></i><span>{high:.3g}</span></div>'
    )


def render_error(error: Exception) -> None:
    """Render an error: what happened, what was expected, how to fix it."""
    if isinstance(error, PlaygroundError):
        parts = [error.what, error.expected, error.fix]
    else:
        parts = [f"Unexpected error: {type(error).__name__}.", str(error)]
    lines = "".join(f"<div>{escape(part)}</div>" for part in parts if part)
    st.html(f'<div class="pg-problem" role="alert">{lines}</div>')


def render_data_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Render a table with column headings; the first column holds row names."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + f"<th>{escape(row[0])}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    st.html(f'<table class="pg-table columns"><tr>{head}</tr>{body}</table>')


def render_key_value_table(rows: Sequence[tuple[str, str]]) -> None:
    """Render names and values in two columns."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    st.html(f'<table class="pg-table">{cells}</table>')
