"""Small pieces of HTML that Streamlit has no element for; every text that comes in is escaped."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from playground.charts.theme import Palette, css_gradient
from playground.errors import PlaygroundError


def title(text: str, *, note: str = "") -> None:
    """A panel's heading, with a remark beside it."""
    st.html(f'<div class="pg-title">{escape(text)}<span class="pg-note">{escape(note)}</span></div>')


def figures(items: Sequence[tuple[str, str]]) -> None:
    """Large figures in a row, each with what it is a figure of."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in items)
    st.html(f'<div class="pg-figures">{cells}</div>')


def line(text: str, *, kind: str = "", behind: Mapping[str, float] | None = None) -> None:
    """One line of words in a tinted box; the figures ``behind`` them show when the pointer rests on it."""
    figures = " · ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in (behind or {}).items())
    st.html(f'<div class="pg-line {escape(kind)}" role="status" title="{escape(figures)}">{escape(text)}</div>')


def hint(text: str) -> None:
    """A muted remark."""
    st.html(f'<div class="pg-hint">{escape(text)}</div>')


def bars(values: Sequence[float], names: Sequence[str], strong: int | None) -> None:
    """One bar a class with its percentage; ``strong`` is drawn in the accent colour."""
    rows = []
    for place, (value, name) in enumerate(zip(values, names, strict=True)):
        kind = " strong" if place == strong else ""
        rows.append(
            f'<div class="pg-bar{kind}" role="listitem" aria-label="{escape(name)}: {value:.1%}">'
            f'<b>{escape(name)}</b><i><u style="width:{max(1.2, value * 100):.1f}%"></u></i>'
            f"<span>{value * 100:.0f}</span></div>"
        )
    st.html(f'<div class="pg-bars" role="list">{"".join(rows)}</div>')


def legend(palette: Palette, low: float, high: float) -> None:
    """A colour scale with the values at its ends."""
    st.html(
        f'<div class="pg-legend"><span>{low:.3g}</span>'
        f'<i style="background:{css_gradient(palette)}"></i><span>{high:.3g}</span></div>'
    )


def problem(error: Exception) -> None:
    """An error beside its cause: what happened, what was expected, how to fix it."""
    if isinstance(error, PlaygroundError):
        parts = [error.what, error.expected, error.fix]
    else:
        parts = [f"Something unexpected happened: {type(error).__name__}.", str(error)]
    lines = "".join(f"<div>{escape(part)}</div>" for part in parts if part)
    st.html(f'<div class="pg-problem" role="alert">{lines}</div>')


def table(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    st.html(f'<table class="pg-table">{cells}</table>')
