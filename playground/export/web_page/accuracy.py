"""Test accuracy of a network with its weights in float32 and in float16."""

from dataclasses import dataclass, replace

import torch

from playground.engine.model.build import build_model
from playground.engine.progress import run_to_end
from playground.export.report.test_results import EvaluatedRun
from playground.interpret.evaluation.dataset_predictions import predict_dataset
from playground.interpret.model import Model
from playground.web.network_file import WeightType


@dataclass(frozen=True)
class PageAccuracy:
    """Share of ``size`` test images that are classified correctly, by the type of the weights.

    ``float16`` is None if the weights are too large for it. ``weight_type`` is that of the page.
    """

    size: int
    weight_type: WeightType
    float32: float
    float16: float | None

    @property
    def of_page(self) -> float:
        """Accuracy with the weights of the page."""
        return self.float32 if self.weight_type == "float32" or self.float16 is None else self.float16


def measure_accuracy(model: Model, evaluated: EvaluatedRun, weight_type: WeightType) -> PageAccuracy:
    """Measure the accuracy of both weight types; that of float32 is in ``evaluated``."""
    rounded = round_to_float16(model)
    float16 = None if rounded is None else run_to_end(predict_dataset(rounded, evaluated.images)).accuracy
    return PageAccuracy(evaluated.evaluation.size, weight_type, evaluated.evaluation.accuracy, float16)


def round_to_float16(model: Model) -> Model | None:
    """Round the weights to float16, to be computed with in float32; None if one of them becomes infinite."""
    weights = {
        name: tensor.half().float() if tensor.is_floating_point() else tensor
        for name, tensor in model.module.state_dict().items()
    }
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        return None
    module = build_model(model.architecture)
    module.load_state_dict(weights)
    return replace(model, module=module.eval().requires_grad_(False))
