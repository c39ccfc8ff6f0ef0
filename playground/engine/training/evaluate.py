"""Measuring a network: always in float32 and eval mode, so that every place that shows a figure shows the same one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.engine.data.batch import Images, scale_pixels
from playground.engine.model.build import class_scores

EVALUATION_BATCH_SIZE = 1000


@dataclass(frozen=True)
class Measured:
    """Mean cross-entropy, share of right answers, and the class scores (float32, (count, classes), on the CPU)."""

    loss: float
    accuracy: float
    scores: Tensor


def measure(model: nn.Module, data: Images) -> Measured:
    """The network on all of ``data``; train or eval mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            scores = torch.cat(
                [
                    class_scores(model(scale_pixels(batch))).float()
                    for batch in torch.split(data.images, EVALUATION_BATCH_SIZE)
                ]
            )
            loss = functional.cross_entropy(scores, data.labels).item()
            accuracy = (scores.argmax(1) == data.labels).double().mean().item()
    finally:
        model.train(was_training)
    return Measured(loss, accuracy, scores.cpu())


def confusion_matrix(scores: Tensor, labels: Tensor) -> Tensor:
    """How often each class (row) was taken for each class (column); int64 (classes, classes)."""
    classes = scores.shape[1]
    return torch.bincount(labels * classes + scores.argmax(1), minlength=classes**2).view(classes, classes)
