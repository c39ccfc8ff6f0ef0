"""What a network tells about its health in passing: taken from a measurement and a batch that happen anyway."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from playground.core.architecture import Architecture
from playground.engine.health.rules import DeadChannels, LayerGradient
from playground.engine.model.build import list_module_ranges

_MAX_PROBE_IMAGES = 256


class HealthProbes:
    """Looks at one network; ``record_activations`` sees which ReLU channels fire, ``gradients`` reads what a batch left."""

    def __init__(self, model: nn.Sequential, architecture: Architecture) -> None:
        self._relus: list[tuple[str, nn.ReLU]] = []
        self._layer_weights: list[tuple[str, list[nn.Parameter]]] = []
        learns = False  # below the first layer that does nothing changes, so nothing falls silent there
        for span in list_module_ranges(architecture):
            place = f"layer {span.layer_index + 1} ({architecture.layers[span.layer_index].title})"
            block = nn.ModuleList(model[span.start : span.stop])
            trained = [weight for weight in block.parameters() if weight.requires_grad]
            learns = learns or bool(trained)
            if learns:
                self._relus += [(place, module) for module in block.modules() if isinstance(module, nn.ReLU)]
            weights = [weight for weight in trained if weight.ndim > 1]
            if weights:
                self._layer_weights.append((place, weights))
        self._max_activations: list[Tensor | None] = [None] * len(self._relus)

    @contextlib.contextmanager
    def record_activations(self) -> Iterator[None]:
        """Note, for the first batch that passes, the largest value of every ReLU channel on a part of its images."""
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
        """For every ReLU that was watched, how many of its channels never fired."""
        seen = [
            (place, largest)
            for (place, _), largest in zip(self._relus, self._max_activations, strict=True)
            if largest is not None
        ]
        return tuple(DeadChannels(place, int((largest <= 0).sum()), len(largest)) for place, largest in seen)

    def compute_gradient_norms(self) -> tuple[LayerGradient, ...]:
        """Root mean square of the last batch's gradient for every layer with weights, the input's side first."""
        found = []
        for place, weights in self._layer_weights:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            if gradients:
                norms = torch.stack(torch._foreach_norm(gradients))
                count = sum(gradient.numel() for gradient in gradients)
                found.append(LayerGradient(place, float(norms.square().sum().sqrt()), count))
        return tuple(found)

    def _make_activation_hook(self, relu_index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self._max_activations[relu_index] is None:
                probe = output.detach()[:_MAX_PROBE_IMAGES]
                self._max_activations[relu_index] = probe.amax(dim=(0, 2, 3) if probe.ndim == 4 else 0)

        return note
