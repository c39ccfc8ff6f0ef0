"""Measuring a network: always in float32 and eval mode, so that every place that shows a figure shows the same one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import expand_to_class_logits

EVALUATION_BATCH_SIZE = 1000


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy, share of right answers, and the class scores (float32, (count, classes), on the CPU)."""

    loss: float
    accuracy: float
    logits: Tensor


def evaluate(model: nn.Module, data: LabeledImages) -> Evaluation:
    """The network on all of ``images``; train or eval mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            batches = torch.split(data.images, EVALUATION_BATCH_SIZE)
            return evaluate_logits(torch.cat([compute_logits(model, batch) for batch in batches]), data)
    finally:
        model.train(was_training)


def compute_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Class logits, float32 (count, classes), of one batch of images uint8 (count, channels, height, width)."""
    return expand_to_class_logits(model(scale_pixels(images))).float()


def evaluate_logits(logits: Tensor, data: LabeledImages) -> Evaluation:
    """Loss and accuracy of a network's class logits (count, classes) for all of ``data``."""
    loss = functional.cross_entropy(logits, data.labels).item()
    accuracy = (logits.argmax(1) == data.labels).double().mean().item()
    return Evaluation(loss, accuracy, logits.cpu())


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """How often each class (row) was taken for each class (column); int64 (classes, classes)."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2).view(classes, classes)
