"""Occlusion."""

from torch import Tensor

from playground.interpret.attribution.methods.base import AttributionInputs, attribution_method, import_captum

_BATCH_SIZE = 64  # small, since a server keeps the memory of the feature maps


@attribution_method(
    "occlusion",
    title="Occlusion",
    menu_order=50,
    description="The decrease of the class score when a small black square covers each position. It only removes "
    "light, so it cannot show where darkness matters.",
    source="Zeiler and Fergus 2013; a pixel's value is the mean over the squares that cover it, and the square has at "
    "most a quarter of the image's side",
    default_arguments={"window_size": 5},
)
def compute_occlusion(inputs: AttributionInputs, *, window_size: float) -> Tensor:
    """Mean decrease of the class score over the squares that cover a pixel."""
    channels, height, width = inputs.pixels.shape[1:]
    window = min(int(window_size), max(1, min(height, width) // 4))
    decreases: Tensor = (
        import_captum()
        .Occlusion(inputs.compute_logits)
        .attribute(
            inputs.pixels.detach(),
            sliding_window_shapes=(channels, window, window),
            strides=(channels, 1, 1),
            target=inputs.target,
            perturbations_per_eval=_BATCH_SIZE,
        )
    )
    # The channels are covered together, so each of them holds the whole decrease.
    return decreases[0, 0]
