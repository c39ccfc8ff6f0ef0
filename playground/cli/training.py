"""Commands that train. PyTorch is imported only where needed, so that the other commands start at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from playground.cli.foreground import download_dataset, train_in_foreground
from playground.cli.output import console, err_console, print_json, print_progress
from playground.cli.resolve import find_architecture, find_recipe
from playground.cli.typer_app import (
    DATASET_HELP,
    RECIPE_HELP,
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
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import DATA_FIELDS, Recipe
from playground.errors import StorageError

if TYPE_CHECKING:
    from playground.engine.runs.run import Run


@cli_app.command()
def train(
    arch: ArchArgument,
    recipe: Annotated[
        str | None, typer.Option(help=f"{RECIPE_HELP} Default: the architecture preset's own recipe, or sprint.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help=DATASET_HELP)] = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network. Ctrl-C stops the run and saves a checkpoint."""
    overrides = drop_unset_options(dataset=dataset, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, limit=limit)
    architecture = find_architecture(arch)
    preset = ARCHITECTURE_PRESETS.get(arch)
    preset_recipe = preset.recipe if preset else None
    from playground.engine.data.dataset_lookup import find_dataset, fit_recipe_to_dataset
    from playground.engine.runs.repository import create_run

    settings = find_recipe(recipe) if recipe else preset_recipe or find_recipe("sprint")
    settings = fit_recipe_to_dataset(settings, **overrides)
    data = find_dataset(settings.dataset)
    if preset and (preset_recipe is None or preset_recipe.dataset != data.name):
        architecture = architecture.adapt_to_images(data.input_shape, len(data.class_names))
    download_dataset(data.name, as_json=as_json)

    train_in_foreground(lambda: create_run(architecture, settings, name=name), architecture, settings, as_json=as_json)


@cli_app.command()
def resume(
    run: RunArgument,
    epochs: Annotated[
        int | None, typer.Option(help="Total number of epochs; a larger number continues a completed run.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per training step from here on.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate from here on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a run from its last checkpoint."""
    from playground.engine.runs.repository import find_run

    selected = find_run(run)
    hyperparameters = drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr)
    selected.record.recipe.update_hyperparameters(hyperparameters)
    history = selected.read_history()
    if not selected.can_resume(history, epochs=epochs):
        raise StorageError(
            f"Run {selected.id} cannot be resumed: its status is {history.status}.",
            expected="A stopped or interrupted run, or a completed run with more epochs.",
            fix="Give a larger number of --epochs, or train again.",
        )
    _continue_training(selected, selected.record.recipe, as_json=as_json, hyperparameters=hyperparameters)


@cli_app.command()
def fork(
    run: RunArgument,
    at: Annotated[
        int | None, typer.Option(help="Step to start from; it must have a checkpoint. Default: the last checkpoint.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help=f"{RECIPE_HELP} Default: the run's recipe.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Total number of epochs, counted from the start of the parent run.")
    ] = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: Annotated[int | None, typer.Option(help="Random seed for the order of the images from here on.")] = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a new run from a checkpoint of another run, with other settings."""
    from playground.engine.runs.fork import fork_run, load_recipe_at
    from playground.engine.runs.repository import find_run

    parent = find_run(run)
    step = at if at is not None else max(parent.list_checkpoint_steps(), default=0)
    settings = load_recipe_at(parent, step)
    if recipe:
        # A preset says nothing about images, seed and device; a recipe from a file or a link does.
        kept = {name: getattr(settings, name) for name in (*DATA_FIELDS, "seed", "precision", "device")}
        settings = find_recipe(recipe).replace(**kept if recipe in RECIPE_PRESETS else {})
    settings = settings.replace(**drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed))
    _continue_training(fork_run(parent, step, settings, name=name), settings, as_json=as_json)


@cli_app.command()
def transfer(
    run: RunArgument,
    dataset: Annotated[str, typer.Option(help=DATASET_HELP)],
    arch: Annotated[
        str | None,
        typer.Option(
            help="Architecture that shares its first layers with the run's. "
            "Default: the run's architecture with a new output layer."
        ),
    ] = None,
    freeze: Annotated[int, typer.Option(help="Freeze the layers up to this one, counted from 1; 0 freezes none.")] = 0,
    old_lr: Annotated[
        float, typer.Option(help="Learning rate of the transferred weights, as a factor of the learning rate.")
    ] = 1.0,
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP)] = "sprint",
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: LrOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    name: NameOption = None,
    compare: Annotated[
        bool, typer.Option(help="Also train from scratch, print both accuracies, and keep neither run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train on another dataset, starting from a run's weights (transfer learning)."""
    from playground.engine.data.dataset_lookup import find_dataset, fit_recipe_to_dataset
    from playground.engine.runs.repository import find_run
    from playground.engine.runs.transfer import create_transfer_run
    from playground.engine.runs.transfer_comparison import compare_transfer

    parent = find_run(run)
    data = find_dataset(dataset)
    overrides = drop_unset_options(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, limit=limit)
    overrides |= {"dataset": data.name, "transferred_lr_scale": old_lr}
    settings = fit_recipe_to_dataset(find_recipe(recipe), **overrides)
    default_architecture = parent.get_current_architecture().with_new_head(len(data.class_names))
    architecture = (find_architecture(arch) if arch else default_architecture).freeze_up_to(freeze - 1)
    download_dataset(data.name, as_json=as_json)
    if not compare:
        transfer_run = create_transfer_run(parent, architecture, settings, name=name)
        _continue_training(transfer_run, settings, as_json=as_json)
        return
    comparison = compare_transfer(parent, architecture, settings)
    if as_json:
        print_json(
            {
                "transferred": comparison.transfer_accuracy,
                "scratch": comparison.scratch_accuracy,
                "gain": comparison.accuracy_gain,
            }
        )
    else:
        console.print(
            f"{comparison.transfer_accuracy:.2%} with the weights of {parent.record.name}, "
            f"{comparison.scratch_accuracy:.2%} from scratch: {comparison.accuracy_gain * 100:+.2f} percentage points"
        )


@cli_app.command()
def teach(
    run: RunArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help='Labeled drawings as JSON, [{"label": 3, "strokes": [[[x, y], ...]]}, ...], or a set saved by the app.'
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a run's network on labeled drawings, mixed with its dataset to prevent forgetting."""
    from playground.engine.data.custom.drawings import read_labeled_drawings
    from playground.engine.runs.finetune import create_finetuning_run
    from playground.engine.runs.repository import find_run
    from playground.interpret.drawing.image_files import read_file

    finetuning_run = create_finetuning_run(find_run(run), read_labeled_drawings(str(file), read_file(file)))
    _continue_training(finetuning_run, finetuning_run.record.recipe, as_json=as_json)


@cli_app.command()
def replay(run: RunArgument, as_json: JsonOption = False) -> None:
    """Train a run again, with its logged hyperparameter changes, and compare every snapshot bit by bit."""
    from playground.core.history import History
    from playground.engine.runs.replay import Replay
    from playground.engine.runs.repository import find_run
    from playground.engine.workers.malloc import retain_freed_memory

    retain_freed_memory()
    selected = find_run(run)
    replayed = Replay(selected)
    history = History()
    for event in replayed.run():
        history.add(event)
        if event.kind == "evaluated" and not as_json:
            print_progress(history)
    compared_count = len(replayed.snapshot_matches)
    differing_steps = [step for step, is_equal in replayed.snapshot_matches.items() if not is_equal]
    if as_json:
        print_json({"run": selected.id, "compared": compared_count, "differing": differing_steps})
    elif differing_steps:
        err_console.print(
            f"The weights differ from step {differing_steps[0]} on. "
            "Another machine or another version of PyTorch can be the cause.",
            soft_wrap=True,
        )
    else:
        console.print(f"The weights are identical, bit for bit, at {compared_count} steps.")
    raise typer.Exit(1 if differing_steps else 0)


@cli_app.command()
def stop(run: RunArgument) -> None:
    """Stop a run that is training in the app or in another terminal, and save a checkpoint."""
    from playground.engine.runs.manage import request_stop
    from playground.engine.runs.repository import find_run

    selected = find_run(run)
    request_stop(selected)
    console.print(f"{selected.record.name} ({selected.id}) was asked to stop.")


def _continue_training(
    run: "Run", recipe: Recipe, *, as_json: bool, hyperparameters: dict[str, Any] | None = None
) -> None:
    """Train an existing run with the initial state and checkpoint in its folder."""
    from playground.engine.runs.initial_state import load_initial_state

    train_in_foreground(
        lambda: run,
        run.record.architecture,
        recipe,
        as_json=as_json,
        hyperparameters=hyperparameters,
        initial_state=load_initial_state(run),
    )
