"""What one click can do about a finding: other knobs, or another network in a new run."""

from typing import Any

from playground.core.architecture import Architecture
from playground.core.events import Suggestion
from playground.core.layers import Conv2d, Layer, Linear, Residual
from playground.core.layers.base import AnyLayerT
from playground.core.recipe import Recipe, Rotate, Scale, Shift
from playground.core.validation import find_problems

_USUAL_LR = {"sgd": 0.05, "adagrad": 0.01}
_USUAL_LR_OF_OTHERS = 1e-3
_SATURATING = ("sigmoid", "tanh")
_MILD_AUGMENTATION = (Shift(pixels=2), Rotate(degrees=10), Scale(amount=0.1))


def usual_lr(recipe: Recipe) -> float:
    """A learning rate that works for most networks with this optimizer."""
    return _USUAL_LR.get(recipe.optimizer.kind, _USUAL_LR_OF_OTHERS)


def lower_lr(recipe: Recipe) -> Suggestion:
    """Shorter steps."""
    lr = max(1e-6, rounded(recipe.lr / 10))
    return Suggestion(label=f"Set lr to {lr:g}", recipe={"lr": lr})


def more_augmentation(recipe: Recipe) -> Suggestion | None:
    """Other images from the same ones; none where there are some already."""
    if recipe.augmentation:
        return None
    mild = [item.model_dump(mode="json") for item in _MILD_AUGMENTATION]
    return Suggestion(label="Shift, rotate and scale the images", recipe={"augmentation": mild})


def unburdened(architecture: Architecture, recipe: Recipe) -> Suggestion | None:
    """Take away what holds the network back; if nothing does, make it wider."""
    if recipe.weight_decay > 0.01:
        return Suggestion(label="Set weight decay to 0", recipe={"weight_decay": 0.0})
    if recipe.lr < usual_lr(recipe) / 2:
        return Suggestion(label=f"Set lr to {usual_lr(recipe):g}", recipe={"lr": usual_lr(recipe)})
    if recipe.augmentation:
        return Suggestion(label="Switch augmentation off", recipe={"augmentation": []})
    return anew("Train anew with twice the channels", architecture, _wider(architecture))


def anew(label: str, before: Architecture, after: Architecture) -> Suggestion | None:
    """A new run of another network, where that is one and can be built."""
    if after.digest == before.digest or find_problems(after):
        return None
    return Suggestion(label=label, architecture=after.model_dump(mode="json", by_alias=True), anew=True)


def rounded(value: float) -> float:
    """One digit that counts: what a person would set."""
    return float(f"{value:.1g}")


def saturating(architecture: Architecture) -> str | None:
    """The first activation in use that flattens gradients."""
    layers = [layer for layer in architecture.layers if layer.enabled and layer.kind != "output"]
    inner = [layer for block in layers if isinstance(block, Residual) for layer in block.layers if layer.enabled]
    used = (getattr(layer, "activation", None) for layer in (*layers, *inner))
    return next((name for name in used if name in _SATURATING), None)


def with_relu(architecture: Architecture) -> Architecture:
    """The same network with ReLU for sigmoid and tanh."""
    return architecture.with_layers([_relu_layer(layer) for layer in architecture.layers])


def _relu_layer(layer: AnyLayerT) -> AnyLayerT:
    if isinstance(layer, Residual):
        layer = layer.changed(layers=tuple(_relu_layer(inner) for inner in layer.layers))
    saturates = layer.enabled and layer.kind != "output" and getattr(layer, "activation", None) in _SATURATING
    return layer.changed(activation="relu") if saturates and layer.trainable else layer


def _wider(architecture: Architecture) -> Architecture:
    return architecture.with_layers([_wider_layer(layer) for layer in architecture.layers])


def _wider_layer(layer: Layer) -> Layer:
    doubled: dict[str, Any] = {}
    if not layer.trainable:
        return layer  # it holds weights of this shape, and of no other
    if isinstance(layer, Conv2d):
        doubled = {"out_channels": max(layer.out_channels, min(512, 2 * layer.out_channels))}
    elif isinstance(layer, Linear):
        doubled = {"out_features": max(layer.out_features, min(2048, 2 * layer.out_features))}
    return layer.changed(**doubled)
