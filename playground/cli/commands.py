"""The commands, one function each. What needs torch is imported where it is needed: the others answer at once."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from playground.cli.drive import drive, fetch_dataset
from playground.cli.output import (
    err,
    out,
    percent,
    print_figures,
    print_json,
    print_progress,
    print_summary,
    run_figures,
)
from playground.cli.sources import find_architecture, find_recipe
from playground.errors import PlaygroundError, StoreError, UnknownNameError
from playground.spec.architecture import Architecture
from playground.spec.datasets import DATASETS
from playground.spec.presets import ARCHITECTURES, RECIPES
from playground.spec.recipe import Recipe
from playground.spec.summary import summarize
from playground.spec.validation import find_problems

if TYPE_CHECKING:
    from playground.engine.store import Run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Build, train and look inside convolutional networks. With --json the last line is one JSON value.",
)

ArchArgument = Annotated[str, typer.Argument(metavar="ARCH", help="A preset's name, a JSON file or a run.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of one, 'latest' or 'pretrained'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value as the last line.")]


@app.command()
def presets(as_json: JsonOption = False) -> None:
    """Architectures, recipes and data sets by name."""
    if as_json:
        print_json(
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
        out.print(table)
        out.print()


@app.command()
def summary(arch: ArchArgument, as_json: JsonOption = False) -> None:
    """The table of shapes, parameters, multiply-adds and receptive field."""
    architecture = find_architecture(arch)
    found = summarize(architecture)
    problems = find_problems(architecture)
    if as_json:
        rows = [
            {"title": row.title, "output_shape": row.output_shape, "parameters": row.parameters} for row in found.rows
        ]
        totals = {"parameters": found.parameters, "multiply_adds": found.multiply_adds}
        print_json({"layers": rows, **totals, "problems": [str(problem) for problem in problems]})
    else:
        print_summary(architecture)
        for problem in problems:
            fixes = ", ".join(fix.label for fix in problem.fixes)
            err.print(f"{problem}{f' Fix: {fixes}.' if fixes else ''}", soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def train(
    arch: ArchArgument,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe preset's name or a JSON file; else the preset's own, or sprint.")
    ] = None,
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
    chosen = _given(dataset=dataset, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, limit=limit)
    architecture = find_architecture(arch)
    preset = ARCHITECTURES.get(arch)
    usual = preset.recipe if preset else None
    settings = (find_recipe(recipe) if recipe else usual or find_recipe("sprint")).changed(**chosen)
    from playground.engine import catalogue, datasets

    data = datasets.find_dataset(settings.dataset)
    settings = datasets.fitted_recipe(settings)
    if preset and (usual is None or usual.dataset != data.name):
        architecture = architecture.for_images(data.input_shape, len(data.class_names))
    fetch_dataset(data.name, as_json=as_json)

    drive(lambda: catalogue.create_run(architecture, settings, name=name), architecture, settings, as_json=as_json)


@app.command()
def resume(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(help="More of them let a completed run go on.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step, from here on.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, from here on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from a run's last checkpoint."""
    from playground.engine import catalogue

    found = catalogue.find_run(run)
    knobs = _given(epochs=epochs, batch_size=batch_size, lr=lr)
    found.record.recipe.with_knobs(knobs)
    history = found.history()
    if not found.can_resume(history, epochs=epochs):
        raise StoreError(
            f"Run {found.id} cannot go on: it is {history.phase}.",
            expected="A run that was stopped or interrupted can; one that is completed, with more epochs.",
            fix="Give --epochs with a larger number, or train again.",
        )
    _go_on(found, found.record.recipe, as_json=as_json, knobs=knobs)


@app.command()
def fork(
    run: RunArgument,
    at: Annotated[int | None, typer.Option(help="The step to begin at: one with a checkpoint; else the last.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe preset's name or a JSON file; else the run's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, counted from the parent's start.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another order of the images from here on.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from a moment of a run with other settings, in a run of its own."""
    from playground.engine import catalogue
    from playground.engine.fork import fork_run, recipe_at

    parent = catalogue.find_run(run)
    steps = parent.checkpoints()
    step = at if at is not None else max(steps, default=0)
    settings = find_recipe(recipe) if recipe else recipe_at(parent, step)
    settings = settings.changed(**_given(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed))
    made = fork_run(parent, step, settings, name=name)
    _go_on(made, settings, as_json=as_json)


@app.command()
def teach(
    run: RunArgument,
    file: Annotated[
        Path,
        typer.Argument(help='Drawings: [{"label": 3, "strokes": [[[x, y], ...]]}, ...], or a set saved by the app.'),
    ],
    as_json: JsonOption = False,
) -> None:
    """Train a run's net on drawings of your own, mixed with its data so that it forgets nothing."""
    from playground.engine.catalogue import find_run
    from playground.engine.own_drawings import read_labelled
    from playground.engine.teach import teach_run
    from playground.lens.pictures import file_content

    made = teach_run(find_run(run), read_labelled(str(file), file_content(file)))
    _go_on(made, made.record.recipe, as_json=as_json)


def _go_on(run: "Run", recipe: Recipe, *, as_json: bool, knobs: dict[str, Any] | None = None) -> None:
    """Train a run that is there, with what its folder holds beside its recipe."""
    from playground.engine.material import material_of

    drive(lambda: run, run.record.architecture, recipe, as_json=as_json, knobs=knobs, material=material_of(run))


@app.command()
def replay(run: RunArgument, as_json: JsonOption = False) -> None:
    """Train a run once more, knobs and all, and say whether every kept weight is the same, bit for bit."""
    from playground.engine import catalogue
    from playground.engine.allocator import keep_memory
    from playground.engine.replay import Replay
    from playground.spec.history import History

    keep_memory()
    found = catalogue.find_run(run)
    again = Replay(found)
    history = History()
    for event in again.run():
        history.add(event)
        if event.kind == "evaluated" and not as_json:
            print_progress(history)
    differing = [step for step, same in again.compared.items() if not same]
    if as_json:
        print_json({"run": found.id, "compared": len(again.compared), "differing": differing})
    elif differing:
        err.print(f"The weights differ from step {differing[0]} on: another machine, or another version?")
    else:
        out.print(f"The same weights, bit for bit, at {len(again.compared)} moments.")
    raise typer.Exit(1 if differing else 0)


@app.command()
def stop(run: RunArgument) -> None:
    """End a run that trains on this machine, in the app or another terminal, with a checkpoint."""
    from playground.engine import catalogue

    found = catalogue.find_run(run)
    found.ask_to_stop()
    out.print(f"{found.record.name} ({found.id}) was asked to stop.")


@app.command()
def runs(as_json: JsonOption = False) -> None:
    """All runs, the newest first."""
    from playground.engine import catalogue

    found, unreadable = catalogue.all_runs()
    if as_json:
        print_json([run_figures(run, run.history()) for run in found])
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
                percent(figures["validation_accuracy"]),
                percent(figures["test_accuracy"]),
                f"{summarize(run.record.architecture).parameters:,}",
                f"{figures['seconds']:.1f}",
            )
        out.print(table)
    for sentence in unreadable:
        err.print(sentence, soft_wrap=True)


@app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """One run: its network, its recipe, its figures."""
    from playground.engine import catalogue

    found = catalogue.find_run(run)
    history = found.history()
    if as_json:
        record = found.record.model_dump(mode="json", by_alias=True)
        print_json(record | run_figures(found, history) | {"snapshots": found.snapshots()})
        return
    out.print(f"{found.record.name} ({found.id}), {history.phase}, made {found.record.created}")
    print_summary(found.record.architecture)
    out.print(f"Recipe: {found.record.recipe.canonical_json()}", soft_wrap=True)
    print_figures(history)
    if history.failure:
        err.print(f"{history.failure.what} {history.failure.expected} {history.failure.fix}")


@app.command()
def delete(run: RunArgument) -> None:
    """Remove a run and everything in its folder."""
    from playground.engine import catalogue

    found = catalogue.find_run(run)
    found.delete()
    out.print(f"Deleted {found.record.name} ({found.id}).")


@app.command()
def evaluate(run: RunArgument, as_json: JsonOption = False) -> None:
    """Accuracy, loss, per class and the confusion matrix on the full test set."""
    from playground.engine import catalogue, data, datasets
    from playground.lens import model, predict

    found = catalogue.find_run(run)
    test = data.load_test(found.record.recipe.dataset, found.record.architecture.input.shape)
    result = predict.evaluate(model.load_model(found), test, "test")
    if as_json:
        print_json({"run": found.id, **vars(result)})
        return
    out.print(f"{result.accuracy:.2%} of {result.size:,} {result.split} images, loss {result.loss:.4f}")
    table = Table(title="Rows: what it is. Columns: what the net says.", title_justify="left", box=None, pad_edge=False)
    names = datasets.find_dataset(found.record.recipe.dataset).class_names
    for heading in ("", *names, "right"):
        table.add_column(heading, justify="right")
    for name, row, right in zip(names, result.confusion, result.per_class_accuracy, strict=True):
        table.add_row(name, *(str(count) for count in row), f"{right:.1%}")
    out.print(table)


@app.command()
def predict(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures, or strokes as JSON.")],
    as_json: JsonOption = False,
) -> None:
    """Which digit each picture or drawing shows."""
    from playground.engine import catalogue
    from playground.lens import model, pictures
    from playground.lens import predict as lens

    loaded = model.load_model(catalogue.find_run(run))
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
                out.print(f"{file} [{index}]: {prediction.first}, {prediction.words}", soft_wrap=True)
    if as_json:
        print_json(answers)


@app.command()
def export(
    source: Annotated[str, typer.Argument(metavar="ARCH_OR_RUN", help="A preset's name, a JSON file or a run.")],
    to: Annotated[str, typer.Option("--to", help="torch or json.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")
    ] = None,
) -> None:
    """Write a network as code or JSON."""
    from playground.exchange import pytorch as writer

    writers: dict[str, Callable[[Architecture], str]] = {"torch": writer.to_pytorch, "json": writer.to_json}
    if to not in writers:
        raise UnknownNameError(f"There is no export to {to!r}.", expected=f"There are: {', '.join(writers)}.")
    text = writers[to](find_architecture(source))
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise PlaygroundError(
            f"{output} cannot be written: {problem.strerror}.", fix="Choose another file."
        ) from problem


@app.command("app")
def open_app(
    port: Annotated[int, typer.Option(help="The port of the page.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Open no browser.")] = False,
) -> None:
    """Open the app in the browser."""
    from playground.engine.home import bundled, home
    from playground.engine.limits import ServerLimits

    ServerLimits.from_environment()  # a wrong one is said here, not to the first visitor
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
    environment = {**os.environ, "CNN_PLAYGROUND_HOME": str(home())} if "CNN_PLAYGROUND_HOME" in os.environ else None
    raise typer.Exit(subprocess.run(command, cwd=script.parent, env=environment, check=False).returncode)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were used."""
    return {name: value for name, value in options.items() if value is not None}
