"""Integrated gradients."""

from torch import Tensor

from playground.interpret.attribution.methods.base import AttributionInputs, attribution_method, import_captum


@attribution_method(
    "integrated_gradients",
    title="Integrated gradients",
    menu_order=30,
    description="Each pixel's contribution to the change of the class score from a black image to this one; the "
    "contributions sum to that change. Black pixels always get 0, even if the network relies on them.",
    source="Sundararajan, Taly and Yan 2017; the baseline is black",
    default_arguments={"step_count": 64},
)
def compute_integrated_gradients(inputs: AttributionInputs, *, step_count: float) -> Tensor:
    """Integral of the gradient from black to the image, summed over channels."""
    contributions: Tensor = (
        import_captum()
        .IntegratedGradients(inputs.compute_logits)
        .attribute(inputs.pixels, target=inputs.target, n_steps=int(step_count))
    )
    return contributions[0].sum(0)
