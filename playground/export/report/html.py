"""HTML that cannot be broken out of: every text is escaped where it enters an element."""

from collections.abc import Iterable, Sequence
from html import escape

_VOID_ELEMENTS = ("img",)


class Html(str):
    """Markup already; all other text is escaped."""

    __slots__ = ()


def join(*parts: str) -> Html:
    """Parts one after another, those that are text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(name: str, *children: str, **attributes: str) -> Html:
    """One element; ``class_`` is written ``class``."""
    opened = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{opened}>" if name in _VOID_ELEMENTS else f"<{name}{opened}>{join(*children)}</{name}>")


def section(title: str, *children: str) -> Html:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *children)


def note(text: str) -> Html:
    """A muted remark."""
    return element("p", text, class_="note")


def table(kind: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Html:
    """Rows under their headings, the first column being names; wide ones can be scrolled. ``kind``: its class."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = [
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in rows
    ]
    return wrap_scrollable(element("table", element("thead", head), element("tbody", *body), class_=kind))


def wrap_scrollable(*children: str) -> Html:
    """What may be wider than a phone."""
    return element("div", *children, class_="wide")
