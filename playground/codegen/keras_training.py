"""Training code for Keras 3: data, optimizer, schedule and loss of a recipe, computed as in PyTorch."""

from playground.codegen.image_files import (
    DRAWN_IMAGES_DESCRIPTION,
    generate_folder_constants,
    generate_folder_reader,
    generate_image_reader,
)
from playground.codegen.keras_layers import list_keras_places
from playground.codegen.templating import render_code, render_template
from playground.codegen.text import ensure_same_classes, format_call, format_tuple, join_sections, sanitize_text
from playground.codegen.torch_model import has_single_logit
from playground.codegen.torch_training import render_schedule_code
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.preprocessing import ImagePreprocessing
from playground.core.recipe import Recipe


def generate_training_code(architecture: Architecture, recipe: Recipe, dataset: Dataset) -> str:
    """Generate ``load_data``, ``compile_model`` and the main block; they need the functions of the model's code.

    Raises RecipeError for image folders of another number of classes than the network's.
    """
    frozen = list_keras_places(architecture, only_frozen=True)
    optimizer = recipe.optimizer
    keras_dataset = dataset.origin.keras_dataset
    preprocessing = ImagePreprocessing.from_dataset(dataset, architecture.input.shape)
    if not keras_dataset:
        ensure_same_classes(architecture, dataset)
    has_one_hot_labels = recipe.label_smoothing > 0 and not has_single_logit(architecture)
    last = recipe.validation_size + recipe.limit if recipe.limit else ""
    return render_template(
        "keras_training.py.j2",
        recipe=recipe,
        shape=architecture.input.shape,
        classes=architecture.classes,
        dataset_title=sanitize_text(dataset.title),
        images_description=DRAWN_IMAGES_DESCRIPTION.strip() if dataset.has_strokes else "",
        keras_dataset=keras_dataset,
        missing_images_remark=dataset.origin.missing_images_remark,
        source_shape=dataset.input_shape if keras_dataset else preprocessing.image_shape,
        folder_constants=generate_folder_constants(dataset.class_names),
        image_reader=join_sections(generate_image_reader(preprocessing), generate_folder_reader()).strip("\n"),
        frozen_modules=format_tuple(frozen) if frozen else "",
        has_schedule=recipe.schedule.torch_code is not None,
        schedule_class=render_schedule_code(recipe, recipe.schedule.keras_class_code),
        learning_rate=render_schedule_code(recipe, recipe.schedule.keras_code),
        optimizer_class=render_code(optimizer.keras_class_code, **dict(optimizer))
        if optimizer.keras_class_code
        else "",
        optimizer_call=_format_optimizer_call(recipe),
        coupled_weight_decay=0.0 if optimizer.has_decoupled_weight_decay else recipe.weight_decay,
        loss=_format_loss(architecture, recipe, has_one_hot_labels=has_one_hot_labels),
        has_single_logit=has_single_logit(architecture),
        has_one_hot_labels=has_one_hot_labels,
        training_slice=f"{recipe.validation_size}:{last}",
        augmentation_remarks=_list_augmentation_remarks(recipe),
    )


def _format_optimizer_call(recipe: Recipe) -> str:
    arguments = recipe.optimizer.build_keras_arguments(recipe.weight_decay)
    keywords = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f"{recipe.optimizer.keras_class}({recipe.optimizer.keras_inputs}{keywords})"


def _format_loss(architecture: Architecture, recipe: Recipe, *, has_one_hot_labels: bool) -> str:
    smoothing = {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}
    kind = "Binary" if has_single_logit(architecture) else "Categorical" if has_one_hot_labels else "SparseCategorical"
    return format_call(f"keras.losses.{kind}Crossentropy", from_logits=True, **smoothing)


def _list_augmentation_remarks(recipe: Recipe) -> list[tuple[str, str]]:
    """List the remarks on augmentations that Keras programs leave out, each with its kinds."""
    kinds: dict[str, list[str]] = {}
    for item in recipe.augmentation:
        kinds.setdefault(item.keras_remark, []).append(item.kind)
    return [(", ".join(names), remark) for remark, names in kinds.items()]
