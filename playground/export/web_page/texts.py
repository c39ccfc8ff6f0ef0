"""Texts of a published page: description, figures, training in sentences, credits."""

from playground.core.datasets import Dataset
from playground.core.history import History
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.metrics import format_accuracy
from playground.engine.runs.run import Run
from playground.export.report.recipe import make_recipe_section
from playground.export.web_page.accuracy import PageAccuracy
from playground.export.web_page.examples import ExampleImages


def describe_network(run: Run) -> str:
    """Describe the network and its data in two sentences."""
    layers = sum(layer.enabled for layer in run.record.architecture.layers)
    return (
        f"A neural network of {layers} layers for {run.get_dataset().title}. It runs inside this page, without server "
        "or connection: draw, and watch every layer respond."
    )


def list_figures(run: Run, history: History, accuracy: PageAccuracy | None) -> list[tuple[str, str]]:
    """List the key figures as (value, label)."""
    summary = summarize(run.record.architecture)
    figures = [(f"{summary.parameters:,}", "parameters"), (f"{summary.multiply_adds:,}", "multiply-adds per image")]
    if accuracy is not None:
        figures.insert(0, (format_accuracy(accuracy.of_page, accuracy.size), "test accuracy"))
    if history.steps:
        figures.append((_format_seconds(history.elapsed_s), "of training"))
    return figures


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def describe_drawing(dataset: Dataset, input_shape: Shape) -> tuple[str, str]:
    """Return the title of the canvas and a sentence on what becomes of a drawing."""
    channels, height, width = input_shape
    if dataset.is_drawable:
        return (
            f"Draw a {dataset.sample_noun}",
            "With mouse, finger or pen. The drawing is fitted, redrawn with an even pen and centered, as the training "
            f"images were; the network reads {height}×{width} pixels.",
        )
    color = "in color" if channels == 3 else "without color" if channels == 1 else f"with {channels} channels"
    return (
        "Try it",
        f"Choose a test image and draw over it, or draw on black. The network reads {height}×{width} pixels {color}.",
    )


def describe_examples(examples: ExampleImages) -> str:
    """Describe the selection of test images; empty without images."""
    if not examples.labels:
        return ""
    right = len(examples.labels) - examples.error_count
    first = f"The first image of {right} classes" if right > 1 else "One image"
    errors = {0: "", 1: ", and one that the network gets wrong"}.get(
        examples.error_count, f", and {examples.error_count} that the network gets wrong"
    )
    return f"{first}{errors}. The network has never been trained on them."


def describe_training(
    run: Run, history: History, accuracy: PageAccuracy | None, missing_reason: str
) -> tuple[str, ...]:
    """Describe the training, its recipe and the accuracy in sentences.

    ``missing_reason``: the reason why the accuracy is unknown.
    """
    return (
        *_describe_steps(run, history),
        *_describe_recipe(run, history),
        describe_accuracy(accuracy, missing_reason),
    )


def _describe_steps(run: Run, history: History) -> list[str]:
    started, title = history.start_event, run.get_dataset().title
    if started is None or not history.steps:
        return ["The weights were imported or edited by hand; this page does not know how they were trained."]
    sentences = [
        f"{history.epoch:.3g} epochs on {started.train_size:,} training images of {title}: {history.step:,} steps in "
        f"{_format_seconds(history.elapsed_s)}, on {started.device} in {started.precision}."
    ]
    if run.record.parent or run.initial_state_path.exists():
        sentences.append("It started from the weights of another run.")
    return sentences


def _describe_recipe(run: Run, history: History) -> list[str]:
    if history.start_event is None:
        return []
    recipe = run.record.recipe
    sentence = (
        f"{recipe.optimizer.title} minimized the cross-entropy in batches of {recipe.batch_size:,} images, with a "
        f"learning rate of {recipe.lr:g} ({recipe.schedule.title.lower()} schedule)"
    )
    extras = []
    if recipe.weight_decay:
        extras.append(f"a weight decay of {recipe.weight_decay:g}")
    if recipe.label_smoothing:
        extras.append(f"label smoothing of {recipe.label_smoothing:g}")
    sentences = [f"{sentence}{f', {_join(extras)}' if extras else ''}. The random seed was {recipe.seed}."]
    if recipe.augmentation:
        names = _join([augmentation.title.lower() for augmentation in recipe.augmentation])
        sentences.append(f"Every training image was changed at random each time: {names}.")
    changes = make_recipe_section(recipe, history).changes
    return [*sentences, *(f"Changed during training: {change}." for change in changes)]


def _join(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def describe_accuracy(accuracy: PageAccuracy | None, missing_reason: str) -> str:
    """State the test accuracy with float32 and with float16 weights; ``missing_reason``: why it is unknown."""
    if accuracy is None:
        return f"The test accuracy was not measured for this page: {missing_reason}"
    size = accuracy.size
    float16 = (
        "the weights are too large for float16"
        if accuracy.float16 is None
        else f"with float16 weights {format_accuracy(accuracy.float16, size)}"
    )
    return (
        f"Test accuracy on {size:,} images that it was not trained on: with float32 weights "
        f"{format_accuracy(accuracy.float32, size)}, {float16}. This page holds the weights in {accuracy.weight_type}."
    )


def describe_images(dataset: Dataset, examples: ExampleImages) -> str:
    """Say which images of the dataset are in the page, and name their credit."""
    credit = f" {dataset.credit}" if dataset.credit else ""
    if examples.labels:
        return f"Contains {len(examples.labels)} test images of {dataset.title}.{credit}"
    if examples.is_withheld:
        return f"Trained on {dataset.title}, whose images are not in this page."
    return f"Trained on {dataset.title}.{credit} This page contains no images of it."


def describe_credits(dataset: Dataset, examples: ExampleImages) -> tuple[str, ...]:
    """Name the data and the licenses of everything in the page."""
    return (
        describe_images(dataset, examples),
        "Published with CNN Playground, whose code in this page is under the MIT license, copyright (c) 2026 The CNN "
        "Playground authors.",
        "Import this file in CNN Playground to get the network, its settings and its weights.",
    )
