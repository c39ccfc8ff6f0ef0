"""SmoothGrad."""

import torch
from torch import Tensor

from playground.engine.rng import make_generator
from playground.interpret.attribution.methods.base import AttributionInputs, attribution_method, import_captum


@attribution_method(
    "smoothgrad",
    title="SmoothGrad",
    menu_order=20,
    description="The gradient averaged over 32 noisy copies of the image: a little more light raises (+) or lowers (−) "
    "the class score. It says nothing about large changes.",
    source="Smilkov et al. 2017; signed, as there for MNIST",
    default_arguments={"sample_count": 32, "noise_std": 0.1},
)
def compute_smoothgrad(inputs: AttributionInputs, *, sample_count: float, noise_std: float) -> Tensor:
    """Mean gradient over noisy copies, summed over channels."""
    # captum's NoiseTunnel draws from the global generator, which all threads of a server share.
    generator = make_generator("smoothgrad", inputs.seed)
    noise = torch.randn(int(sample_count), *inputs.pixels.shape[1:], generator=generator)
    noisy = (inputs.pixels.detach() + noise_std * noise).requires_grad_()
    gradients: Tensor = (
        import_captum().Saliency(inputs.compute_logits).attribute(noisy, target=inputs.target, abs=False)
    )
    return gradients.mean(0).sum(0)
