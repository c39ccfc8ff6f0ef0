"""The program that commands are added to, and the arguments that several of them take."""

from typing import Annotated, Any

import typer

cli_app = typer.Typer(
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
NameOption = Annotated[str | None, typer.Option(help="What to call the run.")]
EpochsOption = Annotated[int | None, typer.Option(help="How often every training image is seen.")]
BatchSizeOption = Annotated[int | None, typer.Option(help="Images a step.")]
LrOption = Annotated[float | None, typer.Option(help="Learning rate.")]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same run.")]
LimitOption = Annotated[int | None, typer.Option(help="Train on so many images only.")]


def drop_unset_options(**options: Any) -> dict[str, Any]:
    """The options that were used."""
    return {name: value for name, value in options.items() if value is not None}
