"""Saliency."""

from torch import Tensor

from playground.interpret.attribution.methods.base import AttributionInputs, attribution_method, import_captum


@attribution_method(
    "saliency",
    title="Saliency",
    menu_order=10,
    description="The absolute gradient of the class score at each pixel: where the network is sensitive to small "
    "changes, not why it decided.",
    source="Simonyan, Vedaldi and Zisserman 2013; the maximum over channels",
    is_signed=False,
)
def compute_saliency(inputs: AttributionInputs) -> Tensor:
    """Gradient of the class score, as the largest absolute value over channels."""
    gradients: Tensor = import_captum().Saliency(inputs.compute_logits).attribute(inputs.pixels, target=inputs.target)
    return gradients[0].amax(0)
