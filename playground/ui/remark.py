"""The remark beside the predicted class."""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.errors import PlaygroundError
from playground.interpret.evaluation.out_of_distribution import is_detector_ready, list_digit_doubts
from playground.interpret.evaluation.predict import Prediction
from playground.ui.model_input import InputSpec, ModelInput


@dataclass(frozen=True)
class PredictionRemark:
    """Facts that the remark adds to the prediction: doubts, the source of the image, or advice where it is an example.

    ``example_hint`` is None unless the image is an example.
    """

    doubts: tuple[str, ...] = ()
    source: str = ""
    example_hint: str | None = None

    def describe(self, prediction: Prediction, class_names: Sequence[str]) -> str:
        """Describe a prediction."""
        if self.example_hint is not None:
            top_class = prediction.top_class
            return f"Example: {class_names[top_class]} ({prediction.probabilities[top_class]:.0%}). {self.example_hint}"
        description = prediction.describe(class_names, self.doubts)
        return f"{description}. {self.source}." if self.source else description


def make_remark(input_spec: InputSpec, model_input: ModelInput) -> PredictionRemark:
    """Collect what the remark on a model input says."""
    if model_input.is_example:
        if input_spec.can_read_drawings:
            return PredictionRemark(example_hint="Draw your own above.")
        is_missing = input_spec.dataset.is_missing
        return PredictionRemark(example_hint="Upload an image." if is_missing else "Random shows another one.")
    if model_input.label is not None:
        label = input_spec.dataset.class_names[model_input.label]
        return PredictionRemark(source=f"{model_input.source.capitalize()}, label {label}")
    doubts = model_input.doubts
    if not doubts:
        doubts = _list_digit_doubts(input_spec, model_input)
    return PredictionRemark(doubts)


def _list_digit_doubts(input_spec: InputSpec, model_input: ModelInput) -> tuple[str, ...]:
    """List reasons to doubt that the image is a digit; a photo, which may show anything, waits for the detector."""
    if not input_spec.is_mnist_like or not (model_input.is_photo or is_detector_ready()):
        return ()
    try:
        return list_digit_doubts(model_input.image, is_photo=model_input.is_photo)
    except PlaygroundError:
        return ("it could not be compared with known digits",)
