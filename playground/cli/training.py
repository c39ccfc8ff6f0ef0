"""Commands that train. What needs torch is imported where it is needed: the others answer at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from playground.cli.foreground import download_dataset, train_in_foreground
from playground.cli.options import (
    ArchArgument,
    BatchSizeOption,
    EpochsOption,
    JsonOption,
    LimitOption,
    LrOption,
    NameOption,
    RunArgument,
    SeedOption,
    cli_app,
    drop_unset_options,
)
from playground.cli.output import console, err_console, print_json, print_progress
from playground.cli.resolve import find_architecture, find_recipe
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.recipe import Recipe
from playground.errors import StorageError

if TYPE_CHECKING:
    from playground.engine.runs.run import Run


@cli_app.command()
def train(
    arch: ArchArgument,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe preset's name or a JSON file; else the preset's own, or sprint.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set's name.")] = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network; Ctrl-C stops it with a checkpoint."""
    chosen = drop_unset_options(dataset=dataset, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, limit=limit)
    architecture = find_architecture(arch)
    preset = ARCHITECTURE_PRESETS.get(arch)
    usual = preset.recipe if preset else None
    from playground.engine.data import registry as datasets
    from playground.engine.runs import repository as catalogue

    settings = find_recipe(recipe) if recipe else usual or find_recipe("sprint")
    settings = datasets.fit_recipe_to_dataset(settings, **chosen)
    data = datasets.find_dataset(settings.dataset)
    if preset and (usual is None or usual.dataset != data.name):
        architecture = architecture.adapt_to_images(data.input_shape, len(data.class_names))
    download_dataset(data.name, as_json=as_json)

    train_in_foreground(
        lambda: catalogue.create_run(architecture, settings, name=name), architecture, settings, as_json=as_json
    )


@cli_app.command()
def resume(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(help="More of them let a completed run go on.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step, from here on.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, from here on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from a run's last checkpoint."""
    from playground.engine.runs import repository as catalogue

    found = catalogue.find_run(run)
    knobs = drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr)
    found.record.recipe.update_hyperparameters(knobs)
    history = found.read_history()
    if not found.can_resume(history, epochs=epochs):
        raise StorageError(
            f"Run {found.id} cannot go on: it is {history.status}.",
            expected="A run that was stopped or interrupted can; one that is completed, with more epochs.",
            fix="Give --epochs with a larger number, or train again.",
        )
    _continue_training(found, found.record.recipe, as_json=as_json, hyperparameters=knobs)


@cli_app.command()
def fork(
    run: RunArgument,
    at: Annotated[int | None, typer.Option(help="The step to begin at: one with a checkpoint; else the last.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe preset's name or a JSON file; else the run's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, counted from the parent's start.")] = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: Annotated[int | None, typer.Option(help="Another order of the images from here on.")] = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from a moment of a run with other settings, in a run of its own."""
    from playground.engine.runs import repository as catalogue
    from playground.engine.runs.fork import fork_run, load_recipe_at

    parent = catalogue.find_run(run)
    steps = parent.list_checkpoint_steps()
    step = at if at is not None else max(steps, default=0)
    settings = find_recipe(recipe) if recipe else load_recipe_at(parent, step)
    settings = settings.replace(**drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed))
    made = fork_run(parent, step, settings, name=name)
    _continue_training(made, settings, as_json=as_json)


@cli_app.command()
def transfer(
    run: RunArgument,
    dataset: Annotated[str, typer.Option(help="What to learn now.")],
    arch: Annotated[
        str | None, typer.Option(help="Another network, as far up the same; else the run's own with a new output.")
    ] = None,
    freeze: Annotated[int, typer.Option(help="The last layer that stays as it is, counted from 1; 0: none.")] = 0,
    old_lr: Annotated[float, typer.Option(help="Learning rate of what was brought along, as a share.")] = 1.0,
    recipe: Annotated[str, typer.Option(help="A recipe preset's name or a JSON file.")] = "sprint",
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    name: NameOption = None,
    compare: Annotated[bool, typer.Option(help="Train from scratch too, keep neither, and say the gain.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train on with what a run has learnt, on other images."""
    from playground.engine.data import registry as datasets
    from playground.engine.runs import repository as catalogue
    from playground.engine.runs import transfer_comparison as gain
    from playground.engine.runs.transfer import create_transfer_run

    parent = catalogue.find_run(run)
    data = datasets.find_dataset(dataset)
    chosen = drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, limit=limit)
    chosen |= {"dataset": data.name, "transferred_lr_share": old_lr}
    settings = datasets.fit_recipe_to_dataset(find_recipe(recipe), **chosen)
    own = parent.record.architecture.with_new_head(len(data.class_names))
    architecture = (find_architecture(arch) if arch else own).freeze_up_to(freeze - 1)
    download_dataset(data.name, as_json=as_json)
    if not compare:
        made = create_transfer_run(parent, architecture, settings, name=name)
        _continue_training(made, settings, as_json=as_json)
        return
    found = gain.compare_transfer(parent, architecture, settings)
    if as_json:
        print_json(
            {"transferred": found.transfer_accuracy, "scratch": found.scratch_accuracy, "gain": found.accuracy_gain}
        )
    else:
        console.print(
            f"{found.transfer_accuracy:.2%} with what {parent.record.name} has learnt, {found.scratch_accuracy:.2%} from scratch: "
            f"{found.accuracy_gain * 100:+.2f} points"
        )


@cli_app.command()
def teach(
    run: RunArgument,
    file: Annotated[
        Path,
        typer.Argument(help='Drawings: [{"label": 3, "strokes": [[[x, y], ...]]}, ...], or a set saved by the app.'),
    ],
    as_json: JsonOption = False,
) -> None:
    """Train a run's net on drawings of your own, mixed with its data so that it forgets nothing."""
    from playground.engine.data.custom.drawings import read_labeled_drawings
    from playground.engine.runs.finetune import create_finetuning_run
    from playground.engine.runs.repository import find_run
    from playground.interpret.drawing.image_files import read_file

    made = create_finetuning_run(find_run(run), read_labeled_drawings(str(file), read_file(file)))
    _continue_training(made, made.record.recipe, as_json=as_json)


@cli_app.command()
def replay(run: RunArgument, as_json: JsonOption = False) -> None:
    """Train a run once more, knobs and all, and say whether every kept weight is the same, bit for bit."""
    from playground.core.history import History
    from playground.engine.runs import repository as catalogue
    from playground.engine.runs.replay import Replay
    from playground.engine.workers.malloc import retain_freed_memory

    retain_freed_memory()
    found = catalogue.find_run(run)
    again = Replay(found)
    history = History()
    for event in again.run():
        history.add(event)
        if event.kind == "evaluated" and not as_json:
            print_progress(history)
    differing = [step for step, same in again.snapshot_matches.items() if not same]
    if as_json:
        print_json({"run": found.id, "compared": len(again.snapshot_matches), "differing": differing})
    elif differing:
        err_console.print(f"The weights differ from step {differing[0]} on: another machine, or another version?")
    else:
        console.print(f"The same weights, bit for bit, at {len(again.snapshot_matches)} moments.")
    raise typer.Exit(1 if differing else 0)


@cli_app.command()
def stop(run: RunArgument) -> None:
    """End a run that trains on this machine, in the app or another terminal, with a checkpoint."""
    from playground.engine.runs import repository as catalogue

    found = catalogue.find_run(run)
    found.request_stop()
    console.print(f"{found.record.name} ({found.id}) was asked to stop.")


def _continue_training(
    run: "Run", recipe: Recipe, *, as_json: bool, hyperparameters: dict[str, Any] | None = None
) -> None:
    """Train a run that is there, with what its folder holds beside its recipe."""
    from playground.engine.runs.initial_state import load_initial_state

    train_in_foreground(
        lambda: run,
        run.record.architecture,
        recipe,
        as_json=as_json,
        hyperparameters=hyperparameters,
        initial_state=load_initial_state(run),
    )
