"""How the command line says things: tables for people, one JSON value for programs."""

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.shapes import shape_text
from playground.core.summary import summarize

if TYPE_CHECKING:
    from playground.engine.runs.run import Run

out = Console(markup=False)
err = Console(stderr=True, highlight=False, markup=False)


def run_figures(run: "Run", history: "History") -> dict[str, Any]:
    """The contract of a run in JSON: its id, its name, its figures."""
    return {"run": run.id, "name": run.record.name, **history.figures()}


def print_summary(architecture: Architecture) -> None:
    """The table of a network's layers."""
    found = summarize(architecture)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "Layer", "", "Output", "Parameters", "Multiply-adds", "Sees"):
        table.add_column(heading, justify="right" if heading in ("Parameters", "Multiply-adds", "Sees") else "left")
    for row in found.rows:
        table.add_row(
            str(row.index + 1),
            row.title if row.enabled else f"({row.title})",
            row.detail,
            shape_text(row.output_shape),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            shape_text(row.receptive_field),
        )
    out.print(table)
    out.print(f"{found.parameters:,} parameters, {found.multiply_adds:,} multiply-adds an image")


def print_progress(history: "History") -> None:
    """One line of a run in progress."""
    validation = history.last_validation
    if validation is None:
        return
    out.print(
        f"epoch {history.epoch:5.2f}  loss {history.train_loss[-1]:.4f}  "
        f"validation {validation.accuracy:.2%} of {validation.size:,}  {history.images_per_second:,.0f} images/s",
        highlight=False,
    )


def print_figures(history: "History") -> None:
    """A run's results in words."""
    if history.last_validation:
        out.print(f"Validation: {history.last_validation.accuracy:.2%} of {history.last_validation.size:,} images")
    if history.test:
        out.print(f"Test: {history.test.accuracy:.2%} of {history.test.size:,} images, loss {history.test.loss:.4f}")
    out.print(f"{history.step:,} steps in {history.elapsed_s:.1f} s")


def percent(value: float | None) -> str:
    """A share as a percentage; nothing for None."""
    return "" if value is None else f"{value:.2%}"


def print_json(value: Any) -> None:
    """One JSON value on a line of its own."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
