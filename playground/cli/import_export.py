"""Commands that export and import networks, and that download and create datasets."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress as RichProgress
from rich.table import Table
from typer.core import TyperCommand

from playground.cli.foreground import download_dataset, run_with_progress_bar
from playground.cli.output import console, err_console, print_json, print_summary
from playground.cli.resolve import find_architecture
from playground.cli.typer_app import (
    DatasetArgument,
    JsonOption,
    NameOption,
    RunArgument,
    cli_app,
    drop_unset_options,
)
from playground.core.architecture import Architecture
from playground.core.datasets import DATASETS
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.recipe import Recipe
from playground.errors import ArchitectureError, PlaygroundError, UnknownNameError

if TYPE_CHECKING:
    from playground.engine.data.custom.preview import FolderPreview
    from playground.export.targets import ExportSource

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; printed by default.")]


class ExportCommand(TyperCommand):
    """Command whose help lists the export targets; their module, which needs PyTorch, is imported only for that."""

    def load_help(self) -> None:
        """Complete the help of ``--to`` with the registered targets."""
        from playground.export.targets import EXPORT_TARGETS

        option = next(parameter for parameter in self.params if parameter.name == "to")
        targets = ", ".join(f"{name} ({target.title})" for name, target in EXPORT_TARGETS.items())
        option.help = f"Export target: {targets}."  # type: ignore[attr-defined]  # every option of Typer has a help

    def get_help(self, ctx: Any) -> str:
        """Return the help text with the registered targets."""
        self.load_help()
        return super().get_help(ctx)


@cli_app.command(cls=ExportCommand)
def export(
    source: Annotated[
        str, typer.Argument(metavar="ARCH_OR_RUN", help="A preset's name (see 'presets'), a JSON file or a run.")
    ],
    to: Annotated[str, typer.Option("--to", help="Export target.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write. Default: standard output; binary targets need a pipe or file."
        ),
    ] = None,
) -> None:
    """Export a network or a run as code, weights, an image, a report or a link."""
    from playground.export.targets import ExportSource, find_export_target, render_export

    target = find_export_target(to)
    export_source = _resolve_export_source(source, ExportSource)
    if output is None and target.is_binary and sys.stdout.isatty():
        raise PlaygroundError(
            f"{target.title} is binary data, and the output is a terminal.",
            expected="A file to write to.",
            fix=f"Add --output {target.build_file_name(export_source)}, or redirect the output to a file.",
        )
    content = render_export(to, export_source)
    if output is not None:
        _write_file(output, content)
    elif target.is_binary:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    else:
        sys.stdout.write(content.decode())


def _resolve_export_source(source: str, source_type: "type[ExportSource]") -> "ExportSource":
    from playground.engine.runs.repository import find_run

    if source not in ARCHITECTURE_PRESETS and not Path(source).suffix:
        try:
            return source_type.from_run(find_run(source))
        except UnknownNameError:
            pass  # find_architecture reports the unknown name with all alternatives
    preset = ARCHITECTURE_PRESETS.get(source)
    recipe = (preset and preset.recipe) or Recipe()
    return source_type(find_architecture(source), recipe, preset.title if preset else Path(source).stem)


@cli_app.command()
def publish(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write. Default: the title and .html."),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Type of the weights in the page: float32, or float16 (fp16) for half the size.")
    ] = "float32",
    title: Annotated[str | None, typer.Option(help="Title of the page. Default: the run's name.")] = None,
    include_images: Annotated[
        bool, typer.Option("--include-images", help="Put test images of a dataset of your own into the page.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a run as one web page that runs its network. The page needs no server and no connection.

    'import' reads the page again.
    """
    from playground.engine.runs.repository import find_run
    from playground.export.web_page import PageOptions, find_weight_type, render_web_page

    options = PageOptions(title, find_weight_type(precision), include_images)
    page = render_web_page(find_run(run), options)
    path = output or Path(page.file_name)
    _write_file(path, page.content)
    if as_json:
        print_json(
            {
                "file": str(path),
                "bytes": len(page.content),
                "precision": options.weight_type,
                "test_images": page.accuracy and page.accuracy.size,
                "float32_accuracy": page.accuracy and page.accuracy.float32,
                "float16_accuracy": page.accuracy and page.accuracy.float16,
                "example_images": page.example_count,
            }
        )
        return
    console.print(f"{path}: {len(page.content) / 1e6:.2f} MB, weights in {options.weight_type}.", soft_wrap=True)
    for remark in page.remarks:
        console.print(remark, soft_wrap=True)


@cli_app.command("import")
def import_network(
    file: Annotated[
        Path,
        typer.Argument(
            help="PyTorch or Keras code, a notebook, JSON, a share link, a .keras file or a published web page; '-' "
            "reads standard input."
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="Safetensors file with this network's weights; creates a run from them.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help=f"Dataset of the weights ({', '.join(DATASETS)}, or one that you created). Default: the link's or "
            "page's, or mnist."
        ),
    ] = None,
    name: NameOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a network: print it, write it as JSON, or create a run from it and its weights.

    A web page that 'publish' wrote holds weights, so it always becomes a run.
    """
    from playground.code_import.parse_network import parse_network_file
    from playground.web.page_file import is_published_page

    is_stdin = str(file) == "-"
    source = "The input" if is_stdin else str(file)
    try:
        content = sys.stdin.buffer.read() if is_stdin else file.read_bytes()
    except OSError as error:
        raise ArchitectureError(f"{file} cannot be read: {error.strerror}.") from error
    if is_published_page(content):
        if weights:
            raise PlaygroundError(
                "--weights was given with a published web page.",
                expected="A page brings its own weights.",
                fix="Leave out --weights, or import the network's code or JSON.",
            )
        architecture, run = _import_page(source, content, dataset, name)
    else:
        imported = parse_network_file(source, content)
        for note in imported.notes:
            err_console.print(note, soft_wrap=True)
        if dataset and not weights:
            raise PlaygroundError(
                "--dataset was given without --weights.",
                expected="--dataset names the dataset that imported weights were trained on.",
                fix="Give --weights too.",
            )
        architecture = imported.architecture
        recipe = (imported.recipe or Recipe()).replace(**drop_unset_options(dataset=dataset))
        run = _create_run_from_weights(weights, architecture, recipe, name or weights.stem) if weights else None
    _report_import(architecture, run, output, as_json=as_json)


def _import_page(source: str, content: bytes, dataset: str | None, name: str | None) -> tuple[Architecture, str | None]:
    """Create a run from a published page; returns its network and the id of the run."""
    from playground.engine.runs.imported_weights import import_published_network
    from playground.web.page_file import read_published_page

    network = read_published_page(source, content)
    return network.architecture, import_published_network(network, dataset=dataset, name=name).id


def _report_import(architecture: Architecture, run: str | None, output: Path | None, *, as_json: bool) -> None:
    from playground.codegen.torch_model import to_json

    if output is not None:
        _write_file(output, to_json(architecture).encode())
    if as_json:
        print_json({"architecture": architecture.model_dump(mode="json", by_alias=True), "run": run})
    else:
        print_summary(architecture)
        if run:
            console.print(f"Created run {run} with these weights.")


def _create_run_from_weights(path: Path, architecture: Architecture, recipe: Recipe, name: str) -> str:
    from playground.engine.data.dataset_lookup import fit_recipe_to_dataset
    from playground.engine.runs.imported_weights import import_weights

    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlaygroundError(f"{path} cannot be read: {error.strerror}.") from error
    return import_weights(content, architecture, fit_recipe_to_dataset(recipe), name=name).id


@cli_app.command()
def fetch(
    dataset: DatasetArgument,
) -> None:
    """Download a dataset. An interrupted download continues where it stopped."""
    from playground.engine.data.dataset_lookup import find_dataset

    selected = find_dataset(dataset)
    download_dataset(selected.name)
    console.print(f"{selected.title} is available.")


@cli_app.command()
def bring(
    source: Annotated[Path, typer.Argument(help="Folder or ZIP file with one folder of images per class.")],
    size: Annotated[int, typer.Option(help="Height and width in pixels that every image is resized to.")] = 64,
    grayscale: Annotated[bool, typer.Option("--grey/--no-grey", help="Convert the images to grayscale.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    name_encoding: Annotated[
        str | None, typer.Option(help="Encoding of names in a ZIP file that do not state theirs, such as cp932 or gbk.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a dataset from your own images. The printed name can be given to 'train --dataset'.

    Classes, numbers of images and remarks on the folders are printed first.
    """
    from playground.engine.data.custom.image_folder import read_image_folder
    from playground.engine.data.custom.preview import preview_image_folder
    from playground.engine.data.custom.store import save_custom_dataset
    from playground.engine.data.dataset_lookup import find_dataset

    channels: Literal[1, 3] = 1 if grayscale else 3
    preview = preview_image_folder(source, height=size, width=size, channels=channels, name_encoding=name_encoding)
    _print_preview(preview)
    with RichProgress(console=err_console, disable=as_json) as progress_bar:
        task = progress_bar.add_task("Reading images", total=None)
        images = read_image_folder(
            source,
            height=size,
            width=size,
            channels=channels,
            name_encoding=name_encoding,
            on_progress=lambda progress: progress_bar.update(
                task, description=progress.stage, completed=progress.completed, total=progress.total
            ),
        )
    dataset_name = save_custom_dataset(name or source.stem, images)
    for skipped in images.skipped:
        err_console.print(f"{skipped.name} {skipped.reason}.", soft_wrap=True)
    for remark in (*images.remarks, *images.warnings):
        if remark not in preview.remarks:
            err_console.print(remark, soft_wrap=True)
    if as_json:
        print_json(
            {
                "dataset": dataset_name,
                "classes": images.class_names,
                "skipped": images.skipped_count,
                "remarks": images.remarks,
                "warnings": images.warnings,
            }
        )
    else:
        dataset = find_dataset(dataset_name)
        console.print(
            f"{dataset_name}: {dataset.train_size:,} training and {dataset.test_size:,} test images of "
            f"{', '.join(images.class_names)}",
            soft_wrap=True,
        )


def _print_preview(preview: "FolderPreview") -> None:
    """Print classes, numbers of files and remarks to standard error, which leaves standard output to the result."""
    from playground.engine.data.custom.entry_names import NAME_ENCODINGS

    table = Table(box=None, pad_edge=False)
    table.add_column("Class")
    table.add_column("Training", justify="right")
    table.add_column("Test", justify="right")
    for row in zip(preview.class_names, preview.train_counts, preview.test_counts, strict=True):
        class_name, *counts = row
        table.add_row(class_name, *(f"{count:,}" for count in counts))
    err_console.print(table)
    if preview.name_encoding is not None:
        err_console.print(
            f"Names are read as {NAME_ENCODINGS.get(preview.name_encoding, preview.name_encoding)}. If they look "
            "wrong, give another encoding with --name-encoding.",
            soft_wrap=True,
        )
    for remark in preview.remarks:
        err_console.print(remark, soft_wrap=True)


@cli_app.command()
def features(
    dataset: DatasetArgument,
    by: Annotated[str, typer.Option(help="Pretrained network: resnet18 or mobilenet_v3_small.")] = "resnet18",
    train: Annotated[int | None, typer.Option(help="Maximum number of training images.")] = None,
    test: Annotated[int | None, typer.Option(help="Maximum number of test images.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a dataset of features that a network pretrained on ImageNet extracts from a dataset."""
    from playground.engine.data.dataset_lookup import find_dataset
    from playground.engine.data.feature_extraction import create_feature_dataset, find_extractor

    extractor, source = find_extractor(by), find_dataset(dataset)
    download_dataset(source.name, as_json=as_json)
    dataset_name = run_with_progress_bar(
        create_feature_dataset(source.name, by, **drop_unset_options(train_size=train, test_size=test)), as_json=as_json
    )
    if as_json:
        print_json({"dataset": dataset_name})
    else:
        console.print(f"{dataset_name}: {extractor.feature_count} features per image", soft_wrap=True)


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise PlaygroundError(f"{path} cannot be written: {error.strerror}.", fix="Choose another file.") from error
