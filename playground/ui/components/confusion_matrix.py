"""A confusion matrix whose cells can be clicked."""

from collections.abc import Sequence

from playground.ui.components.register import register_component

_RENDER = register_component("confusion_matrix")


def render_confusion_matrix(
    counts: Sequence[Sequence[int]], class_names: Sequence[str], *, selected: tuple[int, int] | None, key: str
) -> tuple[int, int] | None:
    """Render counts[label][prediction]; returns the (label, prediction) clicked in this run, else None."""
    result = _RENDER(
        key=key,
        data={
            "counts": [list(row) for row in counts],
            "names": list(class_names),
            "selected": selected and list(selected),
        },
        on_clicked_change=lambda: None,  # without a callback the result has no `clicked`
    )
    clicked = result.clicked
    if not isinstance(clicked, list) or len(clicked) != 2:
        return None
    if not all(
        type(index) is int and 0 <= index < len(class_names) for index in clicked
    ):  # the browser can send anything
        return None
    return clicked[0], clicked[1]
