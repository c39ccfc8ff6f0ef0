"""Training steps as captured CUDA graphs: one graph for every number of images in a batch, replayed for each step.

A graph holds the whole step: the choice of images, scaling, augmentation, forward pass, gradient of the loss, backward
pass and update. It reads the position in the epoch and the learning rates from the device and leaves its scores there,
so that a step costs the processor one launch and never waits. Losses are computed from the scores when they are read.
"""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.core.recipe import Recipe
from playground.engine.data.augment import augment_with_generator
from playground.engine.data.batch import LabeledImages
from playground.engine.model.build import expand_to_class_logits
from playground.engine.model.device import DeviceConfig
from playground.engine.rng import derive_seed
from playground.engine.training.cuda_graph import CapturedFunction, GraphCapture, fork_generator, get_default_generator
from playground.engine.training.flat_update import FlatUpdate, copy_optimizer_state
from playground.engine.training.learner import BatchResult, Learner

_METRICS_CAPACITY = 1024
_CAPTURED_RECIPE_FIELDS = ("optimizer", "weight_decay", "label_smoothing", "augmentation")
"""Recipe values that are part of a graph; the others reach it through tensors."""


@dataclass(frozen=True)
class _ScoredBatch:
    """A batch whose scores lie on the device: its first image's place in the epoch, and where its metrics belong."""

    position: int
    size: int
    slot: int


class CapturedLearner(Learner):
    """A learner whose steps are replayed; on a CPU, or where a capture fails, the same function runs eagerly."""

    def __init__(
        self,
        model: nn.Sequential,
        recipe: Recipe,
        images: LabeledImages,
        device_config: DeviceConfig,
        transferred_names: Collection[str] = (),
    ) -> None:
        super().__init__(model, recipe, images, device_config, transferred_names)
        device, count = device_config.device, len(images)
        classes = max(2, cast(nn.Linear, model[-1]).out_features)
        # A graph's learning rate is rounded to float32, as fused kernels read it; a CPU's are not.
        rate_type = torch.float32 if device.type == "cuda" else torch.float64
        parts = len(self._flat_parameters.parameter_groups)
        self._permutation = torch.zeros(count, dtype=torch.long, device=device)
        self._permutation_epoch: int | None = None
        self._lrs_by_position = torch.zeros(count, parts, dtype=rate_type, device=device)
        self._host_lrs: dict[int, float] = {}
        self._lrs = torch.zeros(1, parts, dtype=rate_type, device=device)
        self._device_position = torch.zeros(1, dtype=torch.long, device=device)
        self._written_position = 0
        self._logits = torch.zeros(count, classes, device=device)
        self._targets = torch.zeros(classes, classes, device=device)
        self._augmentation_generator = torch.Generator(device=device)
        self._default_generator = get_default_generator(device)
        self._graph_capture = GraphCapture(device, [self._augmentation_generator] if device.type == "cuda" else [])
        self._captured_steps: dict[int, CapturedFunction] = {}
        self._scored_batches: list[_ScoredBatch] = []
        self._used_slots = 0
        self._losses, self._corrects = self._allocate_metrics()
        self._update = self._make_update()
        with contextlib.suppress(torch.OutOfMemoryError):  # raised again by the first batch, where a run reports it
            self._capture_epoch_steps()

    @property
    def graph_capture(self) -> GraphCapture:
        """What graph_capture this learner's graphs; evaluations share its memory."""
        return self._graph_capture

    def train_batch(self) -> BatchResult:
        """Train on the next batch and move on; returns before the device has done so."""
        start, end = self.position, self.position + self.recipe.batch_size
        count = min(end, len(self._images)) - start
        self._write_step_inputs()
        if not self.model.training:
            self.model.train()
        replay = self._captured_steps.get(count) or self._capture_step(count)
        if self.recipe.augmentation:
            self._augmentation_generator.manual_seed(derive_seed("augmentation", self.recipe.seed, self.step))
        if self._dropout_layers:
            with fork_generator(self._default_generator, derive_seed("dropout", self.recipe.seed, self.step)):
                replay()
        else:
            replay()
        self._update.count_step()
        self._written_position += count
        lr = self._host_lrs[start]
        self._advance_to(end)
        slot = self._take_slot(start, count)
        return BatchResult(self.step, self.epochs_trained, self._losses[slot], self._corrects[slot], count, lr)

    def compute_metrics(self) -> None:
        """Losses and numbers of correct predictions of the batches trained since the last call, from their scores."""
        scored, self._scored_batches = self._scored_batches, []
        for _, alike in groupby(scored, key=lambda one: one.size):
            first, *others = alike
            self._compute_batch_metrics(first, 1 + len(others))

    def update_hyperparameters(self, recipe: Recipe, dropout_rates: tuple[float, ...] | None = None) -> None:
        """As ``Learner.update_hyperparameters``; graphs are captured again only for what is a part of them."""
        self.compute_metrics()
        before = (
            [getattr(self.recipe, name) for name in _CAPTURED_RECIPE_FIELDS],
            [module.p for module in self._dropout_layers],
        )
        super().update_hyperparameters(recipe, dropout_rates)
        after = (
            [getattr(recipe, name) for name in _CAPTURED_RECIPE_FIELDS],
            [module.p for module in self._dropout_layers],
        )
        self._host_lrs.clear()
        if before != after:
            self._captured_steps.clear()
            self._update = self._make_update()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As ``Learner.load_state_dict``; what graphs read and write stays where it is."""
        self.compute_metrics()
        moments = {part: dict(self._optimizer.state[part]) for part in self._flat_parameters.parameter_groups.values()}
        settings = [dict(group) for group in self._optimizer.param_groups]
        if state_dict["optimizer"] is None:
            for tensors in moments.values():
                for tensor in tensors.values():
                    tensor.zero_()
        super().load_state_dict(state_dict)
        copy_optimizer_state(self._optimizer, moments)
        for group, own in zip(self._optimizer.param_groups, settings, strict=True):
            group.update(own)  # how a state was computed elsewhere (fused, on which device) is not how it is here
        self._host_lrs.clear()

    # The step

    def _capture_step(self, count: int) -> CapturedFunction:
        offsets = torch.arange(count, device=self._device_config.device)
        replay = self._graph_capture.capture(lambda: self._run_step(offsets), self._list_mutated_tensors())
        self._flat_parameters.attach_gradient_views()
        self.eager_reason = self._graph_capture.failure_reason
        self._captured_steps[count] = replay
        return replay

    def _run_step(self, offsets: Tensor) -> None:
        count, images = len(offsets), self._images.images
        places = offsets + self._device_position
        chosen = self._permutation.index_select(0, places)
        labels = self._images.labels.index_select(0, chosen)
        batch = self._scale_pixels(images.index_select(0, chosen))
        if self.recipe.augmentation:
            batch = augment_with_generator(batch, self.recipe.augmentation, self._augmentation_generator)
        scores = expand_to_class_logits(self._flat_parameters.forward(batch))
        with torch.no_grad():
            found = scores.detach()
            self._logits.index_copy_(0, places, found)
            gradient = found.softmax(1).sub_(self._targets.index_select(0, labels)).div_(count)
        self._flat_parameters.backward(scores, gradient)
        torch.index_select(self._lrs_by_position, 0, self._device_position, out=self._lrs)
        self._update()
        self._device_position.add_(count)

    def _scale_pixels(self, pixels: Tensor) -> Tensor:
        """As ``scale_pixels`` and the rounding that follows, in one kernel."""
        is_rounded = self._device_config.is_bfloat16 and not self.recipe.augmentation
        scaled = torch.empty(
            pixels.shape,
            dtype=torch.bfloat16 if is_rounded else torch.float32,
            device=pixels.device,
            memory_format=torch.channels_last,
        )
        return torch.div(pixels, 255, out=scaled)

    def _list_mutated_tensors(self) -> list[Tensor]:
        """All that a step changes and the next one reads."""
        gradients = [part.grad for part in self._flat_parameters.parameter_groups.values() if part.grad is not None]
        return [
            self._flat_parameters.buffer,
            *gradients,
            *self.model.buffers(),
            *self._update.moments,
            self._device_position,
        ]

    def _make_update(self) -> FlatUpdate:
        smoothing, classes = self.recipe.label_smoothing, len(self._targets)
        self._targets.fill_(smoothing / classes).diagonal().add_(1 - smoothing)
        return FlatUpdate(self._optimizer, self._lrs[0])

    def _capture_epoch_steps(self) -> None:
        """Capture the graphs of an epoch's batches before training begins."""
        self.model.train()
        full, rest = divmod(len(self._images), self.recipe.batch_size)
        for count in ([self.recipe.batch_size] if full else []) + ([rest] if rest > 1 else []):
            self._capture_step(count)

    # What a step reads

    def _write_step_inputs(self) -> None:
        """Bring the device to the learner's place: order of the epoch, learning rates to its end, position."""
        if self._permutation_epoch != self.epoch:
            self.compute_metrics()  # they need the order before
            self._permutation.copy_(self._get_permutation(self.epoch))
            self._permutation_epoch = self.epoch
            self._host_lrs.clear()
        if self.position not in self._host_lrs:
            self._write_lrs()
        if self._written_position != self.position:
            self._device_position.fill_(self.position)
            self._written_position = self.position

    def _write_lrs(self) -> None:
        places = range(self.position, len(self._images), self.recipe.batch_size)
        self._host_lrs = {place: self._compute_lr_at(place) for place in places}
        rates = torch.tensor(list(self._host_lrs.values()), dtype=torch.float64)[:, None]
        scales = torch.tensor(
            [self._get_lr_scale(part) for part in self._flat_parameters.parameter_groups], dtype=torch.float64
        )
        table = torch.zeros(len(self._images), len(scales), dtype=torch.float64)
        table[self.position :: self.recipe.batch_size] = rates * scales
        self._lrs_by_position.copy_(table)

    def _get_lr_scale(self, part: str) -> float:
        return self.recipe.transferred_lr_scale if part == "transferred" else 1.0

    # Metrics

    def _take_slot(self, position: int, count: int) -> int:
        if self._used_slots == _METRICS_CAPACITY:
            self.compute_metrics()
            self._losses, self._corrects = self._allocate_metrics()
            self._used_slots = 0
        slot, self._used_slots = self._used_slots, self._used_slots + 1
        self._scored_batches.append(_ScoredBatch(position, count, slot))
        return slot

    def _allocate_metrics(self) -> tuple[Tensor, Tensor]:
        device = self._device_config.device
        return torch.zeros(_METRICS_CAPACITY, device=device), torch.zeros(
            _METRICS_CAPACITY, dtype=torch.long, device=device
        )

    @torch.no_grad()
    def _compute_batch_metrics(self, first: _ScoredBatch, batches: int) -> None:
        """Of so many batches of the same size, one after another."""
        begin, end = first.position, first.position + batches * first.size
        scores = self._logits[begin:end]
        labels = self._images.labels.index_select(0, self._permutation[begin:end])
        losses = functional.cross_entropy(scores, labels, reduction="none", label_smoothing=self.recipe.label_smoothing)
        correct = scores.argmax(1) == labels
        slots = slice(first.slot, first.slot + batches)
        self._losses[slots] = losses.view(batches, first.size).mean(1)
        self._corrects[slots] = correct.view(batches, first.size).sum(1)
