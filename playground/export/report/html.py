"""HTML elements whose text is always escaped."""

from collections.abc import Iterable, Sequence
from html import escape

_VOID_ELEMENTS = ("img",)


class Html(str):
    """String that is HTML already and is not escaped."""

    __slots__ = ()


def join(*parts: str) -> Html:
    """Join parts; text is escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(name: str, *children: str, **attributes: str) -> Html:
    """Make an element; the attribute ``class_`` becomes ``class``."""
    opened = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{opened}>" if name in _VOID_ELEMENTS else f"<{name}{opened}>{join(*children)}</{name}>")


def section(title: str, *children: str) -> Html:
    """Make a section with a heading."""
    return element("section", element("h2", title), *children)


def note(text: str) -> Html:
    """Make a muted paragraph."""
    return element("p", text, class_="note")


def table(kind: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Html:
    """Make a scrollable table of the CSS class ``kind``; the first cell of a row is its heading."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = [
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in rows
    ]
    return wrap_scrollable(element("table", element("thead", head), element("tbody", *body), class_=kind))


def wrap_scrollable(*children: str) -> Html:
    """Make a container that scrolls if its content is wider than the screen."""
    return element("div", *children, class_="wide")
