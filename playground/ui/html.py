"""Small pieces of HTML that Streamlit has no element for; every text that comes in is escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import streamlit as st

from playground.charts.theme import LIGHT, Palette, Theme, to_css_gradient
from playground.errors import PlaygroundError


def render_title(text: str, *, note: str = "") -> None:
    """A panel's heading, with a remark beside it."""
    st.html(f'<div class="pg-title">{escape(text)}<span class="pg-note">{escape(note)}</span></div>')


def render_metrics(items: Sequence[tuple[str, str]]) -> None:
    """Large figures in a row, each with what it is a figure of."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in items)
    st.html(f'<div class="pg-figures">{cells}</div>')


def render_message(text: str, *, severity: str = "", details: Mapping[str, float] | None = None) -> None:
    """One line of words in a tinted box; the figures ``details`` them show when the pointer rests on it."""
    figures = " · ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in (details or {}).items())
    st.html(f'<div class="pg-line {escape(severity)}" role="status" title="{escape(figures)}">{escape(text)}</div>')


def render_hint(text: str) -> None:
    """A muted remark."""
    st.html(f'<div class="pg-hint">{escape(text)}</div>')


_MAX_BARS = 12


class ClassProbabilities(NamedTuple):
    """What one net says: whose answer it is, the probability of every class, and the class to show in strong."""

    model_name: str
    probabilities: Sequence[float]
    predicted_class: int


def render_probability_bars(class_names: Sequence[str], *answers: ClassProbabilities) -> None:
    """One bar a class with its percentage, for one net or for several side by side; of many classes the likeliest."""
    places: Sequence[int] = range(len(class_names))
    if len(class_names) > _MAX_BARS:
        likeliest = answers[0].probabilities
        places = sorted(places, key=lambda place: -likeliest[place])[:_MAX_BARS]
    wide = " wide" if max(len(class_names[place]) for place in places) > 2 else ""
    st.html(
        f'<div class="pg-answers{wide}">{"".join(_format_bars(class_names, places, answer) for answer in answers)}</div>'
    )


def _format_bars(class_names: Sequence[str], class_indices: Sequence[int], answer: ClassProbabilities) -> str:
    rows = []
    for place in class_indices:
        value, name = answer.probabilities[place], class_names[place]
        kind = " strong" if place == answer.predicted_class else ""
        rows.append(
            f'<div class="pg-bar{kind}" role="listitem" aria-label="{escape(name)}: {value:.1%}">'
            f'<b>{escape(name)}</b><i><u style="width:{max(1.2, value * 100):.1f}%"></u></i>'
            f"<span>{value * 100:.0f}</span></div>"
        )
    heading = f'<div class="pg-note">{escape(answer.model_name)}</div>' if answer.model_name else ""
    return f'<div class="pg-bars" role="list">{heading}{"".join(rows)}</div>'


def render_images(*images: tuple[bytes, int, str]) -> None:
    """Small pictures in a row, each a PNG with its width on the screen and its name."""
    parts = (
        f'<figure><img src="data:image/png;base64,{base64.b64encode(png).decode()}" width="{width}" height="{width}" '
        f'alt="{escape(name)}"><figcaption>{escape(name)}</figcaption></figure>'
        for png, width, name in images
    )
    st.html(f'<div class="pg-pictures">{"".join(parts)}</div>')


def render_image_table(rows: Sequence[tuple[str, bytes, str]]) -> None:
    """Pictures under each other, each a name, a PNG, and words for those who cannot see it."""
    parts = (
        f"<tr><th>{escape(name)}</th><td>"
        f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(words)}"></td></tr>'
        for name, png, words in rows
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
    """The class a net names, a remark, and how every class's probability moved from ``moments``' steps to steps.

    ``predicted_class``: the place of the class whose line stands out.
    """
    picture = (
        _format_probability_history(probability_history, class_name, predicted_class, colors)
        if len(probability_history) > 1
        else ""
    )
    long = ' class="long"' if len(class_name) > 2 else ""
    st.html(f'<div class="pg-guess"><b{long}>{escape(class_name)}</b><span>{escape(remark)}</span>{picture}</div>')


def _format_probability_history(
    probability_history: Sequence[tuple[int, Sequence[float]]], class_name: str, predicted_class: int, colors: Theme
) -> str:
    lines = []
    for place in sorted(range(len(probability_history[0][1])), key=lambda place: place == predicted_class):
        points = " ".join(
            f"{number * 150 / (len(probability_history) - 1):.1f},{34 - 32 * values[place]:.1f}"
            for number, (_, values) in enumerate(probability_history)
        )
        stroke, width = (colors.accent, 2) if place == predicted_class else (colors.muted, 0.8)
        lines.append(f'<polyline fill="none" stroke="{stroke}" stroke-width="{width}" points="{points}"/>')
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 36">{"".join(lines)}</svg>'
    source = base64.b64encode(svg.encode()).decode()
    words = f"How the probabilities moved from step {probability_history[0][0]:,} to step {probability_history[-1][0]:,}; strong: {escape(class_name)}"
    return f'<img src="data:image/svg+xml;base64,{source}" alt="{words}" title="{words}">'


def render_legend(palette: Palette, low: float, high: float) -> None:
    """A colour scale with the values at its ends."""
    st.html(
        f'<div class="pg-legend"><span>{low:.3g}</span>'
        f'<i style="background:{to_css_gradient(palette)}"></i><span>{high:.3g}</span></div>'
    )


def render_error(error: Exception) -> None:
    """An error beside its cause: what happened, what was expected, how to fix it."""
    if isinstance(error, PlaygroundError):
        parts = [error.what, error.expected, error.fix]
    else:
        parts = [f"Something unexpected happened: {type(error).__name__}.", str(error)]
    lines = "".join(f"<div>{escape(part)}</div>" for part in parts if part)
    st.html(f'<div class="pg-problem" role="alert">{lines}</div>')


def render_data_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Figures in columns under their headings, the first column being names."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + f"<th>{escape(row[0])}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    st.html(f'<table class="pg-table columns"><tr>{head}</tr>{body}</table>')


def render_key_value_table(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    st.html(f'<table class="pg-table">{cells}</table>')
