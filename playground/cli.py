"""SAY: the command line. With ``--json`` the last line of the output is one JSON value, for programs."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from playground.errors import ArchitectureError, PlaygroundError, RecipeError, UnknownNameError
from playground.spec.architecture import Architecture
from playground.spec.datasets import DATASETS, find_dataset
from playground.spec.presets import ARCHITECTURES, RECIPES
from playground.spec.recipe import Recipe
from playground.spec.shapes import shape_text
from playground.spec.summary import summarize
from playground.spec.validation import find_problems

if TYPE_CHECKING:
    from playground.engine.store import Run
    from playground.spec.history import History

_app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help=__doc__)
_out = Console()
_err = Console(stderr=True, highlight=False)

ArchArgument = Annotated[str, typer.Argument(metavar="ARCH", help="A preset's name, a JSON file or a run.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of one, 'latest' or 'pretrained'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value as the last line.")]


def main() -> None:
    """Run the command line; an error is one message on standard error and exit code 2, never a traceback."""
    try:
        _app()
    except PlaygroundError as problem:
        _err.print(f"Error: {problem.what}", markup=False, soft_wrap=True)
        for line in (problem.expected, problem.fix):
            if line:
                _err.print(line, markup=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


@_app.command()
def presets(as_json: JsonOption = False) -> None:
    """Architectures, recipes and data sets by name."""
    if as_json:
        _print_json(
            {
                "architectures": {name: preset.description for name, preset in ARCHITECTURES.items()},
                "recipes": {name: preset.description for name, preset in RECIPES.items()},
                "datasets": {name: dataset.title for name, dataset in DATASETS.items()},
            }
        )
        return
    for title, rows in (
        ("Architectures", [(name, preset.description) for name, preset in ARCHITECTURES.items()]),
        ("Recipes", [(name, preset.description) for name, preset in RECIPES.items()]),
        ("Data sets", [(name, f"{dataset.title}. {dataset.credit}") for name, dataset in DATASETS.items()]),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        _out.print(table)
        _out.print()


@_app.command()
def summary(arch: ArchArgument, as_json: JsonOption = False) -> None:
    """The table of shapes, parameters, multiply-adds and receptive field."""
    architecture = _architecture(arch)
    found = summarize(architecture)
    problems = find_problems(architecture)
    if as_json:
        rows = [{"title": row.title, "output_shape": row.output_shape, "parameters": row.parameters} for row in found.rows]
        totals = {"parameters": found.parameters, "multiply_adds": found.multiply_adds}
        _print_json({"layers": rows, **totals, "problems": [str(problem) for problem in problems]})
    else:
        _print_summary(architecture)
        for problem in problems:
            fixes = ", ".join(fix.label for fix in problem.fixes)
            _err.print(f"{problem}{f' Fix: {fixes}.' if fixes else ''}", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@_app.command()
def train(
    arch: ArchArgument,
    recipe: Annotated[str, typer.Option(help="A recipe preset's name or a JSON file.")] = "sprint",
    dataset: Annotated[str | None, typer.Option(help="A data set's name.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often every training image is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run.")] = None,
    limit: Annotated[int | None, typer.Option(help="Train on so many images only.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network; Ctrl-C stops it with a checkpoint."""
    chosen = {"dataset": dataset, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "limit": limit}
    settings = _recipe(recipe).changed(**{key: value for key, value in chosen.items() if value is not None})
    find_dataset(settings.dataset)
    architecture = _architecture(arch)
    from playground.engine import store

    _drive(lambda: store.create_run(architecture, settings, name=name), architecture, settings, as_json=as_json)


@_app.command()
def resume(run: RunArgument, as_json: JsonOption = False) -> None:
    """Go on from a run's last checkpoint."""
    from playground.engine import store

    found = store.find_run(run)
    if not found.can_resume():
        raise UnknownNameError(
            f"Run {found.id} cannot go on: it is {found.history().phase}.",
            expected="A run that was stopped or interrupted after its first checkpoint can.",
        )
    _drive(lambda: found, found.record.architecture, found.record.recipe, as_json=as_json, checkpoint=found.checkpoint())


@_app.command()
def runs(as_json: JsonOption = False) -> None:
    """All runs, the newest first."""
    from playground.engine import store

    found, unreadable = store.all_runs()
    if as_json:
        _print_json([_figures(run, run.history()) for run in found])
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("Run", "Name", "State", "Validation", "Test", "Parameters", "Seconds"):
            table.add_column(heading, justify="left" if heading in ("Run", "Name", "State") else "right")
        for run in found:
            history = run.history()
            figures = history.figures()
            table.add_row(
                run.id,
                run.record.name,
                history.phase,
                _percent(figures["validation_accuracy"]),
                _percent(figures["test_accuracy"]),
                f"{summarize(run.record.architecture).parameters:,}",
                f"{figures['seconds']:.1f}",
            )
        _out.print(table)
    for sentence in unreadable:
        _err.print(sentence, markup=False, soft_wrap=True)


@_app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """One run: its network, its recipe, its figures."""
    from playground.engine import store

    found = store.find_run(run)
    history = found.history()
    if as_json:
        record = found.record.model_dump(mode="json", by_alias=True)
        _print_json(record | _figures(found, history) | {"snapshots": found.snapshots()})
        return
    _out.print(f"{found.record.name} ({found.id}), {history.phase}, made {found.record.created}", markup=False)
    _print_summary(found.record.architecture)
    _out.print(f"Recipe: {found.record.recipe.canonical_json()}", markup=False, soft_wrap=True)
    _print_figures(history)
    if history.failure:
        _err.print(f"{history.failure.what} {history.failure.expected} {history.failure.fix}", markup=False)


@_app.command()
def delete(run: RunArgument) -> None:
    """Remove a run and everything in its folder."""
    from playground.engine import store

    found = store.find_run(run)
    found.delete()
    _out.print(f"Deleted {found.record.name} ({found.id}).", markup=False)


@_app.command()
def evaluate(run: RunArgument, as_json: JsonOption = False) -> None:
    """Accuracy, loss, per class and the confusion matrix on the full test set."""
    from playground.engine import data, store
    from playground.lens import model, predict

    found = store.find_run(run)
    result = predict.evaluate(model.load_model(found), data.load_test(found.record.recipe.dataset), "test")
    if as_json:
        _print_json({"run": found.id, **vars(result)})
        return
    _out.print(f"{result.accuracy:.2%} of {result.size:,} {result.split} images, loss {result.loss:.4f}")
    table = Table(title="Rows: what it is. Columns: what the net says.", title_justify="left", box=None, pad_edge=False)
    names = find_dataset(found.record.recipe.dataset).class_names
    for heading in ("", *names, "right"):
        table.add_column(heading, justify="right")
    for name, row, right in zip(names, result.confusion, result.per_class_accuracy, strict=True):
        table.add_row(name, *(str(count) for count in row), f"{right:.1%}")
    _out.print(table)


@_app.command()
def predict(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures, or strokes as JSON.")],
    as_json: JsonOption = False,
) -> None:
    """Which digit each picture or drawing shows."""
    from playground.engine import store
    from playground.lens import model, pictures
    from playground.lens import predict as lens

    loaded = model.load_model(store.find_run(run))
    answers = []
    for file in files:
        for index, prediction in enumerate(lens.predict(loaded, pictures.read_inputs(file))):
            answers.append(
                {
                    "file": str(file),
                    "index": index,
                    "digit": prediction.first,
                    "probabilities": [round(value, 6) for value in prediction.probabilities],
                }
            )
            if not as_json:
                _out.print(f"{file} [{index}]: {prediction.first}, {prediction.words}", markup=False, soft_wrap=True)
    if as_json:
        _print_json(answers)


@_app.command()
def export(
    source: Annotated[str, typer.Argument(metavar="ARCH_OR_RUN", help="A preset's name, a JSON file or a run.")],
    to: Annotated[str, typer.Option("--to", help="torch or json.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")] = None,
) -> None:
    """Write a network as code or JSON."""
    from playground import export as writer

    writers: dict[str, Callable[[Architecture], str]] = {"torch": writer.to_pytorch, "json": writer.to_json}
    if to not in writers:
        raise UnknownNameError(f"There is no export to {to!r}.", expected=f"There are: {', '.join(writers)}.")
    text = writers[to](_architecture(source))
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text)
    except OSError as problem:
        raise PlaygroundError(f"{output} cannot be written: {problem.strerror}.", fix="Choose another file.") from problem


@_app.command()
def app(
    port: Annotated[int, typer.Option(help="The port of the page.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Open no browser.")] = False,
) -> None:
    """Open the app in the browser."""
    from playground.engine.home import bundled

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as problem:
            raise PlaygroundError(
                f"Port {port} cannot be used: {problem.strerror}.",
                expected="Another program, perhaps another CNN Playground, may have it.",
                fix=f"Close that one, or choose another: cnn-playground app --port {port + 1}.",
            ) from problem
    script = bundled("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    if headless:
        command.append("--server.headless=true")
    # Streamlit reads its configuration from the folder it is started in.
    raise typer.Exit(subprocess.run(command, cwd=script.parent, check=False).returncode)


def _architecture(name: str) -> Architecture:
    if name in ARCHITECTURES:
        return ARCHITECTURES[name].architecture
    path = Path(name)
    if path.suffix == ".json" or path.is_file():
        try:
            return Architecture.read(path.read_bytes())
        except OSError as problem:
            raise ArchitectureError(f"{path} cannot be read: {problem.strerror}.") from problem
    from playground.engine import store

    try:
        return store.find_run(name).record.architecture
    except UnknownNameError:
        raise UnknownNameError(
            f"There is no architecture {name!r}.",
            expected=f"A preset ({', '.join(ARCHITECTURES)}), a JSON file, or a run.",
        ) from None


def _recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name].recipe
    path = Path(name)
    if path.suffix == ".json" or path.is_file():
        try:
            return Recipe.read(path.read_bytes())
        except OSError as problem:
            raise RecipeError(f"{path} cannot be read: {problem.strerror}.") from problem
    raise UnknownNameError(f"There is no recipe {name!r}.", expected=f"A preset ({', '.join(RECIPES)}) or a JSON file.")


def _drive(
    opened: Callable[[], "Run"],
    architecture: Architecture,
    recipe: Recipe,
    *,
    as_json: bool,
    checkpoint: dict[str, Any] | None = None,
) -> None:
    """Train in this process to the end; exit code 0 completed, 1 failed, 130 stopped by Ctrl-C."""
    from playground.engine.allocator import keep_memory
    from playground.engine.limits import machine_limits
    from playground.engine.record import Recorder
    from playground.engine.train import Trainer
    from playground.spec.history import History

    keep_memory()
    trainer = Trainer(architecture, recipe, limits=machine_limits(recipe))
    if checkpoint:
        trainer.restore(checkpoint)
    run = opened()
    history = History.of(run.events()) if checkpoint else History()
    with _stop_on_interrupt() as inbox, Recorder(run, from_step=trainer.step if checkpoint else None) as recorder:
        for event in recorder.follow(trainer, inbox):
            history.add(event)
            if event.kind in ("evaluated", "epoch_done", "diagnosed") and not as_json:
                _print_progress(history)
    if as_json:
        _print_json(_figures(run, history))
    else:
        _out.print(f"{run.record.name} ({run.id}): {history.phase}", markup=False)
        _print_figures(history)
    if history.failure:
        _err.print(f"Error: {history.failure.what}", markup=False, soft_wrap=True)
        _err.print(f"{history.failure.expected} {history.failure.fix}".strip(), markup=False, soft_wrap=True)
        raise typer.Exit(1)
    if history.phase == "stopped":
        _err.print(f"Stopped. 'cnn-playground resume {run.id}' goes on from here.", soft_wrap=True)
        raise typer.Exit(130)


@contextmanager
def _stop_on_interrupt() -> Iterator[Any]:
    from playground.spec import events

    class SignalInbox:
        def __init__(self) -> None:
            self.stopped = False

        def poll(self) -> list[events.Command]:
            return [events.Stop()] if self.stopped else []

        def wait(self) -> events.Command:
            return events.Resume()

    inbox = SignalInbox()

    def stop(*_: object) -> None:
        inbox.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield inbox
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _figures(run: "Run", history: "History") -> dict[str, Any]:
    return {"run": run.id, "name": run.record.name, **history.figures()}


def _print_summary(architecture: Architecture) -> None:
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
    _out.print(table)
    _out.print(f"{found.parameters:,} parameters, {found.multiply_adds:,} multiply-adds an image")


def _print_progress(history: "History") -> None:
    validation = history.last_validation
    if validation is None:
        return
    _out.print(
        f"epoch {history.epoch:5.2f}  loss {history.train_loss[-1]:.4f}  "
        f"validation {validation.accuracy:.2%} of {validation.size:,}  {history.images_per_second:,.0f} images/s",
        highlight=False,
    )


def _print_figures(history: "History") -> None:
    if history.last_validation:
        _out.print(f"Validation: {history.last_validation.accuracy:.2%} of {history.last_validation.size:,} images")
    if history.test:
        _out.print(f"Test: {history.test.accuracy:.2%} of {history.test.size:,} images, loss {history.test.loss:.4f}")
    _out.print(f"{history.step:,} steps in {history.elapsed_s:.1f} s")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
