"""Commands that bring networks and images in and out. Torch is imported where it is needed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as RichProgress

from playground.cli.foreground import download_dataset, run_with_progress_bar
from playground.cli.options import JsonOption, NameOption, cli_app, drop_unset_options
from playground.cli.output import console, err_console, print_json, print_summary
from playground.cli.resolve import find_architecture
from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, PlaygroundError, UnknownNameError

if TYPE_CHECKING:
    from playground.export.targets import ExportSource

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")]


@cli_app.command()
def export(
    source: Annotated[str, typer.Argument(metavar="ARCH_OR_RUN", help="A preset's name, a JSON file or a run.")],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="torch, torch-train, torch-predict, keras, weights, onnx, json, svg, report or link."
        ),
    ],
    output: OutputOption = None,
) -> None:
    """Write a network or a run as code, weights, a picture, a report or a link."""
    from playground.export.targets import ExportSource, render_export

    content = render_export(to, _resolve_export_source(source, ExportSource))
    if output is not None:
        _write_file(output, content)
    elif to in ("weights", "onnx"):
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content.decode())


def _resolve_export_source(source: str, source_type: "type[ExportSource]") -> "ExportSource":
    from playground.engine.runs.repository import find_run

    if source not in ARCHITECTURE_PRESETS and not Path(source).suffix:
        try:
            return source_type.from_run(find_run(source))
        except UnknownNameError:
            pass  # said better by what looks for networks
    preset = ARCHITECTURE_PRESETS.get(source)
    recipe = (preset and preset.recipe) or Recipe()
    return source_type(find_architecture(source), recipe, preset.title if preset else Path(source).stem)


@cli_app.command("import")
def import_network(
    file: Annotated[Path, typer.Argument(help="JSON, a link, or PyTorch or Keras code; '-' for standard input.")],
    weights: Annotated[
        Path | None, typer.Option(help="A safetensors file of this network: a run is made of it.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="With weights: the data set that they were trained on; else the link's, or mnist."),
    ] = None,
    name: NameOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a network from another form: print it, write it as JSON, or make a run of it with its weights."""
    from playground.code_import.parse_network import parse_network
    from playground.codegen.torch_model import to_json

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise ArchitectureError(f"{file} cannot be read: {problem.strerror}.") from problem
    found = parse_network(text)
    for remark in found.notes:
        err_console.print(remark, soft_wrap=True)
    if dataset and not weights:
        raise PlaygroundError("A data set goes with weights, and there are none.", fix="Give --weights too.")
    recipe = (found.recipe or Recipe()).replace(**drop_unset_options(dataset=dataset))
    run = _create_run_from_weights(weights, found.architecture, recipe, name or weights.stem) if weights else None
    if output is not None:
        _write_file(output, to_json(found.architecture).encode())
    if as_json:
        print_json({"architecture": found.architecture.model_dump(mode="json", by_alias=True), "run": run})
    else:
        print_summary(found.architecture)
        if run:
            console.print(f"Run {run} has these weights.")


def _create_run_from_weights(path: Path, architecture: Architecture, recipe: Recipe, name: str) -> str:
    from playground.engine.data.registry import fit_recipe_to_dataset
    from playground.engine.runs.imported_weights import import_weights

    try:
        content = path.read_bytes()
    except OSError as problem:
        raise PlaygroundError(f"{path} cannot be read: {problem.strerror}.") from problem
    return import_weights(content, architecture, fit_recipe_to_dataset(recipe), name=name).id


@cli_app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="A data set's name, as 'presets' lists them.")],
) -> None:
    """Bring a data set to this machine; what was fetched before it was cut is kept."""
    from playground.engine.data.registry import find_dataset

    found = find_dataset(dataset)
    download_dataset(found.name)
    console.print(f"{found.title} is here.")


@cli_app.command()
def bring(
    source: Annotated[Path, typer.Argument(help="A folder or ZIP file with a folder of pictures for every class.")],
    size: Annotated[int, typer.Option(help="Pixels a side that every picture is brought to.")] = 64,
    grey: Annotated[bool, typer.Option(help="Without colour.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call the data set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a data set of your own pictures; 'train --dataset' takes the name that it gets."""
    from playground.engine.data.custom.image_folder import read_image_folder
    from playground.engine.data.custom.store import save_custom_dataset

    with RichProgress(console=err_console, disable=as_json) as shown:
        task = shown.add_task("Reading pictures", total=None)
        own = read_image_folder(
            source,
            height=size,
            width=size,
            channels=1 if grey else 3,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    saved = save_custom_dataset(name or source.stem, own)
    for one in own.skipped:
        err_console.print(f"{one.name} {one.reason}.", soft_wrap=True)
    if as_json:
        print_json({"dataset": saved, "classes": own.class_names, "skipped": own.skipped_count})
    else:
        console.print(f"{saved}: {len(own.train):,} images of {', '.join(own.class_names)}", soft_wrap=True)


@cli_app.command()
def features(
    dataset: Annotated[str, typer.Argument(help="A data set's name, as 'presets' lists them.")],
    by: Annotated[str, typer.Option(help="The net that looks: resnet18 or mobilenet_v3_small.")] = "resnet18",
    train: Annotated[int | None, typer.Option(help="Images to train on at most.")] = None,
    test: Annotated[int | None, typer.Option(help="Images to test with at most.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a data set of what a net trained on ImageNet sees in another one; small nets learn from it in seconds."""
    from playground.engine.data.feature_extraction import create_feature_dataset, find_extractor
    from playground.engine.data.registry import find_dataset

    net, seen = find_extractor(by), find_dataset(dataset)
    download_dataset(seen.name, as_json=as_json)
    saved = run_with_progress_bar(
        create_feature_dataset(seen.name, by, **drop_unset_options(train_size=train, test_size=test)), as_json=as_json
    )
    if as_json:
        print_json({"dataset": saved})
    else:
        console.print(f"{saved}: {net.feature_count} features of every image", soft_wrap=True)


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as problem:
        raise PlaygroundError(f"{path} cannot be written: {problem.strerror}.", fix="Choose another file.") from problem
