"""Evaluation of a network: always in float32 and eval mode, so that all parts of the app show the same numbers."""

import torch
from torch import Tensor, nn

from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.metrics import Evaluation
from playground.engine.model.build import expand_to_class_logits

EVALUATION_BATCH_SIZE = 1000


def evaluate(model: nn.Module, data: LabeledImages) -> Evaluation:
    """Evaluate a network on all images of ``data``; its train or eval mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            batches = torch.split(data.images, EVALUATION_BATCH_SIZE)
            return Evaluation.from_logits(torch.cat([compute_logits(model, batch) for batch in batches]), data.labels)
    finally:
        model.train(was_training)


def compute_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Class logits, float32 (count, classes), of one batch of images uint8 (count, channels, height, width)."""
    return expand_to_class_logits(model(scale_pixels(images))).float()
