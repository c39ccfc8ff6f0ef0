"""Training code in PyTorch: a recipe's optimizer, schedule and training loop."""

from playground.codegen.templating import read_package_source, render_code, render_template
from playground.codegen.torch_augmentation import generate_augmentation_code
from playground.codegen.torch_model import has_single_logit, list_weight_module_names
from playground.core.architecture import Architecture
from playground.core.layers.shared.calls import omit_defaults
from playground.core.recipe import Recipe


def generate_training_code(architecture: Architecture, recipe: Recipe, *, reads_folders: bool) -> str:
    """Generate ``train``, the functions that it calls beside ``make_model`` and ``load_images``, and the main block.

    ``reads_folders``: the images are files of the user, of which there may be too few.
    """
    smoothing = f", label_smoothing={recipe.label_smoothing!r}" if recipe.label_smoothing else ""
    loss = f"loss = functional.cross_entropy({format_logits(architecture, 'batch')}, labels[chosen]{smoothing})"
    return render_template(
        "torch_training.py.j2",
        recipe=recipe,
        reads_folders=reads_folders,
        is_frozen=bool(list_weight_module_names(architecture, only_frozen=True)),
        logits=lambda images_code: format_logits(architecture, images_code),
        loss=loss,
        augmentation_code=generate_augmentation_code(recipe.augmentation).strip("\n"),
        optimizer_source=read_package_source(recipe.optimizer.torch_source) if recipe.optimizer.torch_source else "",
        optimizer_call=_format_optimizer_call(recipe),
        scheduler_call=render_schedule_code(recipe, recipe.schedule.torch_code),
    )


def format_logits(architecture: Architecture, images_code: str) -> str:
    """Format code of the logits of every class; the single logit z of a sigmoid becomes (0, z)."""
    return (
        f"functional.pad(model({images_code}), (1, 0))" if has_single_logit(architecture) else f"model({images_code})"
    )


def render_schedule_code(recipe: Recipe, source: str | None) -> str:
    """Render the code of the recipe's schedule; empty without code."""
    if source is None:
        return ""
    steps = f"{recipe.epochs} * steps_per_epoch" if recipe.epochs > 1 else "steps_per_epoch"
    return render_code(source, **dict(recipe.schedule), lr=recipe.lr, total_steps=steps)


def _format_optimizer_call(recipe: Recipe) -> str:
    optimizer = recipe.optimizer
    arguments = {**optimizer.build_torch_arguments(), "weight_decay": recipe.weight_decay}
    keywords = {"lr": recipe.lr, **omit_defaults(optimizer.torch_defaults, **arguments)}
    name = optimizer.torch_class.rpartition(".")[2] if optimizer.torch_source else optimizer.torch_class
    return f"{name}({', '.join([optimizer.torch_inputs, *(f'{key}={value!r}' for key, value in keywords.items())])})"
