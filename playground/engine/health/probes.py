"""Health probes (dead ReLUs, gradient norms) read during regular evaluation."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture
from playground.engine.health.training_metrics import DeadChannels, LayerGradient
from playground.engine.model.build import list_module_ranges

_MAX_PROBE_IMAGES = 256


class HealthProbes:
    """Probes of one network: ReLU activations of an evaluation, and the gradients of the last batch."""

    def __init__(self, model: nn.Sequential, architecture: Architecture) -> None:
        self._relus: list[tuple[str, nn.ReLU]] = []
        self._layer_weights: list[tuple[str, list[nn.Parameter]]] = []
        is_trainable = False  # below the first trainable layer nothing changes, so no ReLU dies there
        for span in list_module_ranges(architecture):
            layer_name = f"layer {span.layer_index + 1} ({architecture.layers[span.layer_index].title})"
            block = nn.ModuleList(model[span.start : span.stop])
            trained = [weight for weight in block.parameters() if weight.requires_grad]
            is_trainable = is_trainable or bool(trained)
            if is_trainable:
                self._relus += [(layer_name, module) for module in block.modules() if isinstance(module, nn.ReLU)]
            weights = [weight for weight in trained if weight.ndim > 1]
            if weights:
                self._layer_weights.append((layer_name, weights))
        self._max_activations: list[Tensor | None] = [None] * len(self._relus)

    @contextlib.contextmanager
    def record_activations(self) -> Iterator[None]:
        """Record the largest value of every ReLU channel on up to 256 images of the first batch."""
        self._max_activations = [None] * len(self._relus)
        handles = [
            module.register_forward_hook(self._make_activation_hook(number))
            for number, (_, module) in enumerate(self._relus)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @property
    def max_activations(self) -> list[Tensor | None]:
        """Largest recorded activation of every channel, for every ReLU: (channels,) each, None if not recorded.

        A replayed CUDA graph runs no hooks, so the replay sets the tensors that the captured hooks filled.
        """
        return self._max_activations

    @max_activations.setter
    def max_activations(self, max_activations: list[Tensor | None]) -> None:
        self._max_activations = max_activations

    def count_dead_channels(self) -> tuple[DeadChannels, ...]:
        """Count the channels of every recorded ReLU that were 0 on all images."""
        return tuple(
            DeadChannels(layer_name, int((maxima <= 0).sum()), len(maxima))
            for (layer_name, _), maxima in zip(self._relus, self._max_activations, strict=True)
            if maxima is not None
        )

    def compute_gradient_norms(self) -> tuple[LayerGradient, ...]:
        """Norm of the last batch's gradient for every layer with weights, from the input to the output."""
        layer_gradients = []
        for layer_name, weights in self._layer_weights:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            if gradients:
                norms = torch.stack(torch._foreach_norm(gradients))
                count = sum(gradient.numel() for gradient in gradients)
                layer_gradients.append(LayerGradient(layer_name, float(norms.square().sum().sqrt()), count))
        return tuple(layer_gradients)

    def _make_activation_hook(self, relu_index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self._max_activations[relu_index] is None:
                probe = output.detach()[:_MAX_PROBE_IMAGES]
                self._max_activations[relu_index] = probe.amax(dim=(0, 2, 3) if probe.ndim == 4 else 0)

        return record
