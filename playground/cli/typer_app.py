"""The Typer application, and the arguments and options that several commands share."""

from typing import Annotated, Any

import typer

from playground.core.datasets import DATASETS
from playground.core.presets import RECIPE_PRESETS

cli_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Build, train and inspect convolutional networks. With --json the last line of the output is one JSON value.",
)

RECIPE_HELP = f"Recipe preset ({', '.join(RECIPE_PRESETS)}) or a JSON file."
DATASET_HELP = f"Dataset ({', '.join(DATASETS)}), or the name of one that you created."

ArchArgument = Annotated[
    str, typer.Argument(metavar="ARCH", help="Architecture: a preset's name (see 'presets'), a JSON file or a run.")
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Run: its id, an unambiguous prefix of the id, 'latest' or 'pretrained'."),
]
DatasetArgument = Annotated[str, typer.Argument(help=DATASET_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value as the last line.")]
NameOption = Annotated[str | None, typer.Option(help="Name of the new run.")]
EpochsOption = Annotated[int | None, typer.Option(help="Number of passes over the training images.")]
BatchSizeOption = Annotated[int | None, typer.Option(help="Images per training step.")]
LrOption = Annotated[float | None, typer.Option(help="Learning rate.")]
SeedOption = Annotated[int | None, typer.Option(help="Random seed; equal seeds give equal runs.")]
LimitOption = Annotated[int | None, typer.Option(help="Number of training images to use; all by default.")]


def drop_unset_options(**options: Any) -> dict[str, Any]:
    """Return the options that were given, without those that are None."""
    return {name: value for name, value in options.items() if value is not None}
