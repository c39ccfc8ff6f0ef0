"""Commands that bring networks and images in and out. Torch is imported where it is needed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as RichProgress

from playground.cli.foreground import fetch_dataset, follow
from playground.cli.options import JsonOption, NameOption, app, given
from playground.cli.output import err, out, print_json, print_summary
from playground.cli.resolve import find_architecture
from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURES
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, PlaygroundError, UnknownNameError

if TYPE_CHECKING:
    from playground.export.targets import Exported

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")]


@app.command()
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
    from playground.export.targets import Exported, written

    content = written(to, _exported(source, Exported))
    if output is not None:
        _write(output, content)
    elif to in ("weights", "onnx"):
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content.decode())


def _exported(source: str, kind: "type[Exported]") -> "Exported":
    from playground.engine.runs.repository import find_run

    if source not in ARCHITECTURES and not Path(source).suffix:
        try:
            return kind.of(find_run(source))
        except UnknownNameError:
            pass  # said better by what looks for networks
    preset = ARCHITECTURES.get(source)
    recipe = (preset and preset.recipe) or Recipe()
    return kind(find_architecture(source), recipe, preset.title if preset else Path(source).stem)


@app.command("import")
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
    from playground.code_import.parse_network import read_text
    from playground.codegen.torch_model import to_json

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise ArchitectureError(f"{file} cannot be read: {problem.strerror}.") from problem
    found = read_text(text)
    for remark in found.remarks:
        err.print(remark, soft_wrap=True)
    if dataset and not weights:
        raise PlaygroundError("A data set goes with weights, and there are none.", fix="Give --weights too.")
    recipe = (found.recipe or Recipe()).changed(**given(dataset=dataset))
    run = _with_weights(weights, found.architecture, recipe, name or weights.stem) if weights else None
    if output is not None:
        _write(output, to_json(found.architecture).encode())
    if as_json:
        print_json({"architecture": found.architecture.model_dump(mode="json", by_alias=True), "run": run})
    else:
        print_summary(found.architecture)
        if run:
            out.print(f"Run {run} has these weights.")


def _with_weights(path: Path, architecture: Architecture, recipe: Recipe, name: str) -> str:
    from playground.engine.data.registry import fitted_recipe
    from playground.engine.runs.imported_weights import import_weights

    try:
        content = path.read_bytes()
    except OSError as problem:
        raise PlaygroundError(f"{path} cannot be read: {problem.strerror}.") from problem
    return import_weights(content, architecture, fitted_recipe(recipe), name=name).id


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="A data set's name, as 'presets' lists them.")],
) -> None:
    """Bring a data set to this machine; what was fetched before it was cut is kept."""
    from playground.engine.data.registry import find_dataset

    found = find_dataset(dataset)
    fetch_dataset(found.name)
    out.print(f"{found.title} is here.")


@app.command()
def bring(
    source: Annotated[Path, typer.Argument(help="A folder or ZIP file with a folder of pictures for every class.")],
    size: Annotated[int, typer.Option(help="Pixels a side that every picture is brought to.")] = 64,
    grey: Annotated[bool, typer.Option(help="Without colour.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call the data set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a data set of your own pictures; 'train --dataset' takes the name that it gets."""
    from playground.engine.data.custom.image_folder import read_own_images
    from playground.engine.data.custom.store import save_own_dataset

    with RichProgress(console=err, disable=as_json) as shown:
        task = shown.add_task("Reading pictures", total=None)
        own = read_own_images(
            source,
            height=size,
            width=size,
            channels=1 if grey else 3,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    saved = save_own_dataset(name or source.stem, own)
    for one in own.skipped:
        err.print(f"{one.name} {one.reason}.", soft_wrap=True)
    if as_json:
        print_json({"dataset": saved, "classes": own.class_names, "skipped": own.skipped_count})
    else:
        out.print(f"{saved}: {len(own.images):,} images of {', '.join(own.class_names)}", soft_wrap=True)


@app.command()
def features(
    dataset: Annotated[str, typer.Argument(help="A data set's name, as 'presets' lists them.")],
    by: Annotated[str, typer.Option(help="The net that looks: resnet18 or mobilenet_v3_small.")] = "resnet18",
    train: Annotated[int | None, typer.Option(help="Images to train on at most.")] = None,
    test: Annotated[int | None, typer.Option(help="Images to test with at most.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a data set of what a net trained on ImageNet sees in another one; small nets learn from it in seconds."""
    from playground.engine.data.feature_extraction import extract, find_extractor
    from playground.engine.data.registry import find_dataset

    net, seen = find_extractor(by), find_dataset(dataset)
    fetch_dataset(seen.name, as_json=as_json)
    saved = follow(extract(seen.name, by, **given(train_size=train, test_size=test)), as_json=as_json)
    if as_json:
        print_json({"dataset": saved})
    else:
        out.print(f"{saved}: {net.feature_count} features of every image", soft_wrap=True)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as problem:
        raise PlaygroundError(f"{path} cannot be written: {problem.strerror}.", fix="Choose another file.") from problem
