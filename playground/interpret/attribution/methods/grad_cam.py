"""Grad-CAM."""

from torch import Tensor, nn

from playground.interpret.attribution.methods.base import (
    AttributionInputs,
    attribution_method,
    import_captum,
    make_logits_function,
)


@attribution_method(
    "grad_cam",
    title="Grad-CAM",
    menu_order=40,
    description="The region where one layer's feature maps support the class, scaled up from the layer's resolution. "
    "It leaves out evidence against the class.",
    source="Selvaraju et al. 2017",
    needs_layer=True,
    is_signed=False,
)
def compute_grad_cam(inputs: AttributionInputs) -> Tensor:
    """Sum of a layer's feature maps weighted by their mean gradients, without negative values."""
    # A hook on the model itself would run in every thread that uses it, so captum gets an own module to hook.
    layer_output = nn.Identity()
    module = nn.Sequential(*inputs.module[: inputs.layer_end], layer_output, *inputs.module[inputs.layer_end :])
    heatmap: Tensor = (
        import_captum()
        .LayerGradCam(make_logits_function(module), layer_output)
        .attribute(inputs.pixels, target=inputs.target, relu_attributions=True)
    )
    return heatmap[0, 0]
