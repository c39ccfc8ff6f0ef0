"""What the figures of a run mean, in plain words; a finding is a pure function of figures."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.engine.build import spans
from playground.spec.architecture import Architecture

PROBE_SIZE = 256
_OVERFITTING_GAP = 0.03
_STUCK_MARGIN = 0.05
_DEAD_SHARE_TO_MENTION = 0.02
_FEW_STEPS = 100
_USUAL_LR = {"sgd": 0.05, "adagrad": 0.01}
_USUAL_LR_OF_OTHERS = 1e-3
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Figures:
    """What a diagnosis looks at; accuracies are shares of right answers."""

    epoch: float
    classes: int
    lr: float
    train_accuracy: float
    validation_accuracy: float
    dead: tuple[tuple[str, int, int], ...] = ()
    steps: int = _FEW_STEPS
    optimizer: str = "adam"


def diagnose(figures: Figures) -> tuple[str, str, dict[str, float]]:
    """The most telling finding as (its name, a sentence or two, the figures behind it)."""
    behind = {
        "train_accuracy": figures.train_accuracy,
        "validation_accuracy": figures.validation_accuracy,
        "lr": figures.lr,
    }
    gap = figures.train_accuracy - figures.validation_accuracy
    if figures.epoch >= 0.2 and figures.validation_accuracy < 1 / figures.classes + _STUCK_MARGIN:
        return "stuck", _stuck_text(figures), behind
    if figures.epoch >= 1 and gap > _OVERFITTING_GAP:
        return (
            "overfitting",
            f"Overfitting: {figures.train_accuracy:.1%} on the images it trains on, "
            f"{figures.validation_accuracy:.1%} on others. More images, dropout or augmentation would help.",
            behind | {"gap": gap},
        )
    state = "Learning well." if figures.validation_accuracy > 0.9 else "Learning."
    silent = [found for found in figures.dead if found[1] > _DEAD_SHARE_TO_MENTION * found[2]]
    if not silent:
        return "learning", state, behind
    place, dead, channels = max(silent, key=lambda found: found[1] / found[2])
    return (
        "dead_channels",
        f"{state} {dead} of {channels} channels in the {place} never fire.",
        behind | {"dead_channels": float(dead), "channels": float(channels)},
    )


def _stuck_text(figures: Figures) -> str:
    guessing = f"Not learning: {figures.validation_accuracy:.0%} is what guessing gives."
    if figures.steps < _FEW_STEPS:
        return f"{guessing} These were {figures.steps} batches only: train longer, or on more images."
    usual = _USUAL_LR.get(figures.optimizer, _USUAL_LR_OF_OTHERS)
    advice = min(figures.lr / 10, usual) if figures.lr >= usual else max(figures.lr * 10, usual)
    return f"{guessing} The learning rate is {figures.lr:g}; try {advice:g}."


def dead_channels(model: nn.Sequential, architecture: Architecture, images: Tensor) -> tuple[tuple[str, int, int], ...]:
    """For every layer that ends in a ReLU: its name in words, channels that never fire on ``images``, all channels.

    ``images`` float (batch, channels, height, width); the network is run in eval mode and left as it was.
    """
    found = []
    counts: dict[str, int] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            values = images
            for span in spans(architecture):
                layer = architecture.layers[span.layer_index]
                counts[layer.kind] = counts.get(layer.kind, 0) + 1
                for module in model[span.start : span.stop]:
                    values = module(values)
                if layer.kind in ("conv2d", "linear") and isinstance(model[span.stop - 1], nn.ReLU):
                    largest = values.amax(dim=(0, 2, 3) if values.ndim == 4 else 0)
                    noun = "convolution" if layer.kind == "conv2d" else "linear layer"
                    ordinal = _ORDINALS[counts[layer.kind] - 1] if counts[layer.kind] <= 10 else "a later"
                    found.append((f"{ordinal} {noun}", int((largest <= 0).sum()), len(largest)))
    finally:
        model.train(was_training)
    return tuple(found)
