"""Suggested fixes of a diagnosis: other hyperparameters, or a new run with another network."""

from playground.core.architecture import Architecture
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shift import Shift
from playground.core.events import Suggestion
from playground.core.layers import Layer
from playground.core.layers.shared.base import LayerT
from playground.core.recipe import Recipe
from playground.core.validation import validate

_SATURATING_ACTIVATIONS = ("sigmoid", "tanh")
_MILD_AUGMENTATION = (Shift(pixels=2), Rotate(degrees=10), Scale(amount=0.1))


def get_typical_lr(recipe: Recipe) -> float:
    """Learning rate that works for most networks with the recipe's optimizer."""
    return recipe.optimizer.typical_lr


def suggest_lower_lr(recipe: Recipe) -> Suggestion:
    """Suggest a tenth of the learning rate."""
    return suggest_lr(max(1e-6, round_to_one_digit(recipe.lr / 10)))


def suggest_lr(lr: float) -> Suggestion:
    """Suggest a learning rate."""
    return Suggestion(label=f"Set lr to {lr:g}", recipe_changes={"lr": lr})


def suggest_augmentation(recipe: Recipe) -> Suggestion | None:
    """Suggest mild augmentation for a recipe without any."""
    if recipe.augmentation:
        return None
    mild = [item.model_dump(mode="json") for item in _MILD_AUGMENTATION]
    return Suggestion(label="Add augmentation: shift, rotate, scale", recipe_changes={"augmentation": mild})


def suggest_less_regularization(architecture: Architecture, recipe: Recipe) -> Suggestion | None:
    """Suggest weaker regularization or a higher learning rate, and for a recipe with neither a wider network."""
    if recipe.weight_decay > 0.01:
        return Suggestion(label="Set weight decay to 0", recipe_changes={"weight_decay": 0.0})
    if recipe.lr < get_typical_lr(recipe) / 2:
        return suggest_lr(get_typical_lr(recipe))
    if recipe.augmentation:
        return Suggestion(label="Remove augmentation", recipe_changes={"augmentation": []})
    return suggest_restart("Restart with twice the channels", architecture, _widen(architecture))


def suggest_restart(label: str, architecture: Architecture, new_architecture: Architecture) -> Suggestion | None:
    """Suggest a new run of another network; None if it is the same network or invalid."""
    if new_architecture.digest == architecture.digest or validate(new_architecture):
        return None
    return Suggestion(
        label=label, architecture=new_architecture.model_dump(mode="json", by_alias=True), requires_restart=True
    )


def round_to_one_digit(value: float) -> float:
    """Round to one significant digit."""
    return float(f"{value:.1g}")


def find_saturating_activation(architecture: Architecture) -> str | None:
    """First enabled activation that saturates (sigmoid or tanh); None if there is none."""
    layers = [layer for layer in architecture.layers if layer.enabled]
    inner = [layer for block in layers for layer in block.inner_layers if layer.enabled]
    used = (layer.activation_name for layer in (*layers, *inner))
    return next((name for name in used if name in _SATURATING_ACTIVATIONS), None)


def replace_saturating_with_relu(architecture: Architecture) -> Architecture:
    """Replace sigmoid and tanh by ReLU in all trainable layers."""
    return architecture.with_layers([_replace_saturating_in_layer(layer) for layer in architecture.layers])


def _replace_saturating_in_layer(layer: LayerT) -> LayerT:
    if layer.inner_layers:
        layer = layer.with_inner_layers([_replace_saturating_in_layer(inner) for inner in layer.inner_layers])
    saturates = layer.enabled and layer.activation_name in _SATURATING_ACTIVATIONS
    return layer.replace(activation="relu") if saturates and layer.trainable else layer


def _widen(architecture: Architecture) -> Architecture:
    return architecture.with_layers([_widen_layer(layer) for layer in architecture.layers])


def _widen_layer(layer: Layer) -> Layer:
    if not layer.trainable or layer.width_field is None:  # a frozen layer's weights fit one width only
        return layer
    width = getattr(layer, layer.width_field)
    return layer.replace(**{layer.width_field: max(width, min(layer.suggested_width_limit, 2 * width))})
