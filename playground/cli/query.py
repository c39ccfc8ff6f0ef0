"""Commands that look: presets, summaries, runs, what they say. Torch is imported where it is needed."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from playground.cli.options import ArchArgument, JsonOption, RunArgument, cli_app
from playground.cli.output import (
    console,
    err_console,
    format_percent,
    make_run_json,
    print_json,
    print_metrics,
    print_summary,
)
from playground.cli.resolve import find_architecture
from playground.core.datasets import DATASETS
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.summary import summarize
from playground.core.validation import validate


@cli_app.command()
def presets(as_json: JsonOption = False) -> None:
    """Architectures, recipes and data sets by name."""
    if as_json:
        print_json(
            {
                "architectures": {name: preset.description for name, preset in ARCHITECTURE_PRESETS.items()},
                "recipes": {name: preset.description for name, preset in RECIPE_PRESETS.items()},
                "datasets": {name: dataset.title for name, dataset in DATASETS.items()},
            }
        )
        return
    for title, rows in (
        ("Architectures", [(name, preset.description) for name, preset in ARCHITECTURE_PRESETS.items()]),
        ("Recipes", [(name, preset.description) for name, preset in RECIPE_PRESETS.items()]),
        ("Data sets", [(name, f"{dataset.title}. {dataset.credit}") for name, dataset in DATASETS.items()]),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()


@cli_app.command()
def summary(arch: ArchArgument, as_json: JsonOption = False) -> None:
    """The table of shapes, parameters, multiply-adds and receptive field."""
    architecture = find_architecture(arch)
    found = summarize(architecture)
    problems = validate(architecture)
    if as_json:
        rows = [
            {"title": row.title, "output_shape": row.output_shape, "parameters": row.parameters} for row in found.layers
        ]
        totals = {"parameters": found.parameters, "multiply_adds": found.multiply_adds}
        print_json({"layers": rows, **totals, "problems": [str(problem) for problem in problems]})
    else:
        print_summary(architecture)
        for problem in problems:
            fixes = ", ".join(fix.label for fix in problem.fixes)
            err_console.print(f"{problem}{f' Fix: {fixes}.' if fixes else ''}", soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@cli_app.command()
def runs(as_json: JsonOption = False) -> None:
    """All runs, the newest first."""
    from playground.engine.runs import repository as catalogue

    found, unreadable = catalogue.list_runs()
    if as_json:
        print_json([make_run_json(run, run.read_history()) for run in found])
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("Run", "Name", "State", "Validation", "Test", "Parameters", "Seconds"):
            table.add_column(heading, justify="left" if heading in ("Run", "Name", "State") else "right")
        for run in found:
            history = run.read_history()
            figures = history.summarize()
            table.add_row(
                run.id,
                run.record.name,
                history.status,
                format_percent(figures["validation_accuracy"]),
                format_percent(figures["test_accuracy"]),
                f"{summarize(run.record.architecture).parameters:,}",
                f"{figures['seconds']:.1f}",
            )
        console.print(table)
    for sentence in unreadable:
        err_console.print(sentence, soft_wrap=True)


@cli_app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """One run: its network, its recipe, its figures."""
    from playground.engine.runs import repository as catalogue

    found = catalogue.find_run(run)
    history = found.read_history()
    if as_json:
        record = found.record.model_dump(mode="json", by_alias=True)
        print_json(record | make_run_json(found, history) | {"snapshots": found.list_snapshot_steps()})
        return
    console.print(f"{found.record.name} ({found.id}), {history.status}, made {found.record.created}")
    print_summary(found.record.architecture)
    console.print(f"Recipe: {found.record.recipe.to_canonical_json()}", soft_wrap=True)
    print_metrics(history)
    if history.failure:
        err_console.print(f"{history.failure.what} {history.failure.expected} {history.failure.fix}")


@cli_app.command()
def delete(run: RunArgument) -> None:
    """Remove a run and everything in its folder."""
    from playground.engine.runs import repository as catalogue

    found = catalogue.find_run(run)
    found.delete()
    console.print(f"Deleted {found.record.name} ({found.id}).")


@cli_app.command()
def evaluate(run: RunArgument, as_json: JsonOption = False) -> None:
    """Accuracy, loss, per class and the confusion matrix on the full test set."""
    from playground.engine.data import splits as data
    from playground.engine.runs import repository as catalogue
    from playground.interpret import model
    from playground.interpret.evaluation import predict

    found = catalogue.find_run(run)
    test = data.load_test_images(found.record.recipe.dataset, found.record.architecture.input.shape)
    result = predict.evaluate_model(model.load_model(found), test)
    confusion = result.confusion_matrix.tolist()
    if as_json:
        print_json(
            {
                "run": found.id,
                "split": "test",
                "size": result.size,
                "accuracy": result.accuracy,
                "loss": result.loss,
                "per_class_accuracy": result.per_class_accuracy,
                "confusion": confusion,
            }
        )
        return
    console.print(f"{result.accuracy:.2%} of {result.size:,} test images, loss {result.loss:.4f}")
    table = Table(title="Rows: what it is. Columns: what the net says.", title_justify="left", box=None, pad_edge=False)
    names = found.get_dataset().class_names
    for heading in ("", *names, "right"):
        table.add_column(heading, justify="right")
    for name, row, right in zip(names, confusion, result.per_class_accuracy, strict=True):
        table.add_row(name, *(str(count) for count in row), f"{right:.1%}")
    console.print(table)


@cli_app.command()
def predict(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures, or strokes as JSON.")],
    as_json: JsonOption = False,
) -> None:
    """What each picture or drawing shows."""
    from playground.engine.runs import repository as catalogue
    from playground.interpret import model
    from playground.interpret.drawing import image_files as pictures
    from playground.interpret.evaluation import predict as lens

    found = catalogue.find_run(run)
    loaded, data = model.load_model(found), found.get_dataset()
    names, answers = data.class_names, []
    for file in files:
        inputs = pictures.read_inputs(file, data, loaded.architecture.input.shape)
        for index, prediction in enumerate(lens.predict(loaded, inputs)):
            answers.append(
                {
                    "file": str(file),
                    "index": index,
                    "digit": prediction.top_class,
                    "class": names[prediction.top_class],
                    "probabilities": [round(value, 6) for value in prediction.probabilities],
                }
            )
            if not as_json:
                console.print(
                    f"{file} [{index}]: {names[prediction.top_class]}, {prediction.describe(names)}", soft_wrap=True
                )
    if as_json:
        print_json(answers)
