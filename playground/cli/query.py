"""Commands that read: presets, summaries, runs, evaluation and prediction. PyTorch is imported only where needed."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

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
from playground.cli.typer_app import ArchArgument, JsonOption, RunArgument, cli_app
from playground.core.datasets import DATASETS
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.summary import summarize
from playground.core.validation import validate


@cli_app.command()
def presets(as_json: JsonOption = False) -> None:
    """List the named architectures, recipes and datasets."""
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
        ("Datasets", [(name, f"{dataset.title}. {dataset.credit}") for name, dataset in DATASETS.items()]),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()


@cli_app.command()
def summary(arch: ArchArgument, as_json: JsonOption = False) -> None:
    """Print a network's layers with output shape, parameters, multiply-adds and receptive field."""
    architecture = find_architecture(arch)
    totals = summarize(architecture)
    problems = validate(architecture)
    if as_json:
        rows = [
            {"title": row.title, "output_shape": row.output_shape, "parameters": row.parameters}
            for row in totals.layers
        ]
        print_json(
            {
                "layers": rows,
                "parameters": totals.parameters,
                "multiply_adds": totals.multiply_adds,
                "problems": [str(problem) for problem in problems],
            }
        )
    else:
        print_summary(architecture)
        for problem in problems:
            fixes = ", ".join(fix.label for fix in problem.fixes)
            err_console.print(f"{problem}{f' Fix: {fixes}.' if fixes else ''}", soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@cli_app.command()
def runs(as_json: JsonOption = False) -> None:
    """List all runs, newest first."""
    from playground.engine.runs.repository import list_runs

    readable_runs, unreadable_messages = list_runs()
    if as_json:
        print_json([make_run_json(run, run.read_history()) for run in readable_runs])
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("Run", "Name", "Status", "Validation", "Test", "Parameters", "Seconds"):
            table.add_column(heading, justify="left" if heading in ("Run", "Name", "Status") else "right")
        for run in readable_runs:
            history = run.read_history()
            metrics = history.summarize()
            table.add_row(
                run.id,
                run.record.name,
                history.status,
                format_percent(metrics["validation_accuracy"]),
                format_percent(metrics["test_accuracy"]),
                f"{summarize(run.record.architecture).parameters:,}",
                f"{metrics['seconds']:.1f}",
            )
        console.print(table)
    for message in unreadable_messages:
        err_console.print(message, soft_wrap=True)


@cli_app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Print a run's network, recipe and metrics."""
    from playground.engine.runs.repository import find_run

    selected = find_run(run)
    history = selected.read_history()
    if as_json:
        record = selected.record.model_dump(mode="json", by_alias=True)
        print_json(record | make_run_json(selected, history) | {"snapshots": selected.list_snapshot_steps()})
        return
    console.print(f"{selected.record.name} ({selected.id}), {history.status}, created {selected.record.created}")
    print_summary(selected.record.architecture)
    console.print(f"Recipe: {selected.record.recipe.to_canonical_json()}", soft_wrap=True)
    print_metrics(history)
    if history.failure:
        err_console.print(f"{history.failure.what} {history.failure.expected} {history.failure.fix}")


@cli_app.command()
def delete(run: RunArgument) -> None:
    """Delete a run and its folder."""
    from playground.engine.runs.manage import delete_run
    from playground.engine.runs.repository import find_run

    selected = find_run(run)
    delete_run(selected)
    console.print(f"Deleted {selected.record.name} ({selected.id}).")


@cli_app.command()
def evaluate(run: RunArgument, as_json: JsonOption = False) -> None:
    """Evaluate a run on the full test set: accuracy, loss, per-class accuracy and confusion matrix."""
    from playground.engine.data.splits import load_test_images
    from playground.engine.runs.repository import find_run
    from playground.interpret.evaluation.predict import evaluate_model
    from playground.interpret.model import load_model

    selected = find_run(run)
    test_images = load_test_images(selected.record.recipe.dataset, selected.record.architecture.input.shape)
    result = evaluate_model(load_model(selected), test_images)
    confusion = result.confusion_matrix.tolist()
    if as_json:
        print_json(
            {
                "run": selected.id,
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
    table = Table(title="Rows: actual class. Columns: predicted class.", title_justify="left", box=None, pad_edge=False)
    class_names = selected.get_dataset().class_names
    for heading in ("", *class_names, "accuracy"):
        table.add_column(heading, justify="right")
    for name, counts, accuracy in zip(class_names, confusion, result.per_class_accuracy, strict=True):
        table.add_row(name, *(str(count) for count in counts), f"{accuracy:.1%}")
    console.print(table)


@cli_app.command()
def predict(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Image files, or strokes as JSON.")],
    as_json: JsonOption = False,
) -> None:
    """Predict the class of images and drawings; of several digits in a photo, the largest is used."""
    from playground.engine.runs.repository import find_run
    from playground.interpret.drawing.image_files import read_inputs
    from playground.interpret.evaluation.out_of_distribution import list_digit_doubts, reads_mnist_digits
    from playground.interpret.evaluation.predict import predict as predict_images
    from playground.interpret.model import load_model

    selected = find_run(run)
    model, dataset = load_model(selected), selected.get_dataset()
    shape = model.architecture.input.shape
    is_mnist_like = reads_mnist_digits(dataset, shape)
    class_names, predictions = dataset.class_names, []
    for file in files:
        inputs = read_inputs(file, dataset, shape)
        for index, (file_input, prediction) in enumerate(
            zip(inputs, predict_images(model, [file_input.image for file_input in inputs]), strict=True)
        ):
            doubts = file_input.doubts
            if file_input.is_photo and is_mnist_like and prediction.is_certain and not doubts:
                doubts = list_digit_doubts(file_input.image, is_photo=True)
            predictions.append(
                {
                    "file": str(file),
                    "index": index,
                    "digit": prediction.top_class,
                    "class": class_names[prediction.top_class],
                    "probabilities": [round(value, 6) for value in prediction.probabilities],
                    "doubts": list(doubts),
                }
            )
            if not as_json:
                class_name = class_names[prediction.top_class]
                description = prediction.describe(class_names, doubts)
                console.print(f"{file} [{index}]: {class_name}, {description}", soft_wrap=True)
    if as_json:
        print_json(predictions)
