"""Output of the command line: tables for people, one JSON value for programs."""

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.shapes import format_shape
from playground.core.summary import summarize

if TYPE_CHECKING:
    from playground.engine.runs.run import Run

_IS_WINDOWS = os.name == "nt"

console = Console(markup=False)
err_console = Console(stderr=True, highlight=False, markup=False)


def use_utf8_pipes() -> None:
    """Make pipes and redirected files UTF-8 on Windows, whose code page lacks characters such as ``→``."""
    if _IS_WINDOWS:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
                stream.reconfigure(encoding="utf-8", errors="replace")


def make_run_json(run: "Run", history: "History") -> dict[str, Any]:
    """Return a run as JSON: its id, its name and its metrics."""
    return {"run": run.id, "name": run.record.name, **history.summarize()}


def print_summary(architecture: Architecture) -> None:
    """Print the table of a network's layers, and its totals."""
    summary = summarize(architecture)
    table = Table(box=None, pad_edge=False)
    numeric = ("Parameters", "Multiply-adds", "Receptive field")
    for heading in ("", "Layer", "", "Output", *numeric):
        table.add_column(heading, justify="right" if heading in numeric else "left")
    for row in summary.layers:
        table.add_row(
            str(row.index + 1),
            row.title if row.enabled else f"({row.title})",
            row.arguments_text,
            format_shape(row.output_shape),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            format_shape(row.receptive_field),
        )
    console.print(table)
    console.print(f"{summary.parameters:,} parameters, {summary.multiply_adds:,} multiply-adds per image")


def print_progress(history: "History") -> None:
    """Print one line of progress of a run, once it has been validated."""
    validation = history.last_validation
    if validation is None:
        return
    console.print(
        f"epoch {history.epoch:5.2f}  loss {history.train_loss[-1]:.4f}  "
        f"validation {validation.accuracy:.2%} of {validation.size:,}  {history.images_per_second:,.0f} images/s",
        highlight=False,
    )


def print_metrics(history: "History") -> None:
    """Print a run's validation and test accuracy, its steps and its duration."""
    if history.last_validation:
        console.print(
            f"Validation accuracy: {history.last_validation.accuracy:.2%} of {history.last_validation.size:,} images"
        )
    if history.test:
        console.print(
            f"Test accuracy: {history.test.accuracy:.2%} of {history.test.size:,} images, loss {history.test.loss:.4f}"
        )
    console.print(f"{history.step:,} steps in {history.elapsed_s:.1f} s")


def format_percent(value: float | None) -> str:
    """Format a fraction as a percentage; None as an empty string."""
    return "" if value is None else f"{value:.2%}"


def print_json(value: Any) -> None:
    """Print one JSON value on its own line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
