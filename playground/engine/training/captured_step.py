"""Training steps as captured CUDA graphs, one graph for each batch size.

A graph holds the whole step: selection of images, scaling, augmentation, forward pass, gradient of the loss, backward
pass and optimizer update. It reads the position in the epoch and the learning rates from the device and writes the
logits there, so a step is one launch without synchronization. Losses are computed from the logits when they are read.
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
from playground.engine.training.flat_update import FlatUpdate
from playground.engine.training.learner import BatchResult, Learner

_METRICS_CAPACITY = 1024
_CAPTURED_RECIPE_FIELDS = ("optimizer", "weight_decay", "label_smoothing", "augmentation")
"""Recipe fields whose values are constants of a graph; a graph reads the others from tensors."""


@dataclass(frozen=True)
class _ScoredBatch:
    """A batch with logits on the device: position of its first image in the epoch, and index of its metrics."""

    position: int
    size: int
    metric_index: int


class CapturedLearner(Learner):
    """A learner that replays captured steps; without CUDA, or if a capture fails, the same function runs eagerly."""

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
        # Fused CUDA kernels read the learning rate as float32, the CPU kernels as float64.
        lr_dtype = torch.float32 if device.type == "cuda" else torch.float64
        group_count = len(self._flat_parameters.parameter_groups)
        self._permutation = torch.zeros(count, dtype=torch.long, device=device)
        self._permutation_epoch: int | None = None
        self._lrs_by_position = torch.zeros(count, group_count, dtype=lr_dtype, device=device)
        self._host_lrs: dict[int, float] = {}
        self._lrs = torch.zeros(1, group_count, dtype=lr_dtype, device=device)
        self._device_position = torch.zeros(1, dtype=torch.long, device=device)
        self._written_position = 0
        self._logits = torch.zeros(count, classes, device=device)
        self._targets = torch.zeros(classes, classes, device=device)
        self._augmentation_generator = torch.Generator(device=device)
        self._default_generator = get_default_generator(device)
        self._graph_capture = GraphCapture(device, [self._augmentation_generator] if device.type == "cuda" else [])
        self._captured_steps: dict[int, CapturedFunction] = {}
        self._scored_batches: list[_ScoredBatch] = []
        self._used_metrics = 0
        self._losses, self._correct_counts = self._allocate_metrics()
        self._update = self._make_update()
        with contextlib.suppress(torch.OutOfMemoryError):  # the first batch raises it again, inside the run
            self._capture_epoch_steps()

    @property
    def graph_capture(self) -> GraphCapture:
        """The capture of this learner's graphs; evaluation graphs share its memory pool."""
        return self._graph_capture

    def train_batch(self) -> BatchResult:
        """Train on the next batch and advance; returns before the device has finished."""
        start, end = self.position, self.position + self.recipe.batch_size
        count = min(end, len(self._images)) - start
        self._write_step_inputs()
        if not self.model.training:
            self.model.train()
        captured_step = self._captured_steps.get(count) or self._capture_step(count)
        if self.recipe.augmentation:
            self._augmentation_generator.manual_seed(derive_seed("augmentation", self.recipe.seed, self.step))
        if self._dropout_layers:
            with fork_generator(self._default_generator, derive_seed("dropout", self.recipe.seed, self.step)):
                captured_step()
        else:
            captured_step()
        self._update.count_step()
        self._written_position += count
        lr = self._host_lrs[start]
        self._advance_to(end)
        metric_index = self._append_scored_batch(start, count)
        return BatchResult(
            self.step, self.epochs_trained, self._losses[metric_index], self._correct_counts[metric_index], count, lr
        )

    def compute_metrics(self) -> None:
        """Compute losses and correct counts of the batches since the last call from their logits."""
        batches, self._scored_batches = self._scored_batches, []
        for _, equal_sized in groupby(batches, key=lambda batch: batch.size):
            first, *others = equal_sized
            self._compute_batch_metrics(first, 1 + len(others))

    def update_hyperparameters(self, recipe: Recipe, dropout_rates: tuple[float, ...] | None = None) -> None:
        """Update as ``Learner`` does; steps are captured again only if a constant of their graphs has changed."""
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
        """Load as ``Learner`` does, into the tensors whose addresses are in the graphs."""
        self.compute_metrics()
        states = self._update.list_states()
        own_options = [dict(group) for group in self._optimizer.param_groups]
        if state_dict["optimizer"] is None:
            self._update.reset_states()
        super().load_state_dict(state_dict)
        self._update.copy_loaded_states(states)
        for group, options in zip(self._optimizer.param_groups, own_options, strict=True):
            group.update(options)  # options such as ``fused`` depend on the device that saved the state
        self._host_lrs.clear()

    # Captured step

    def _capture_step(self, count: int) -> CapturedFunction:
        offsets = torch.arange(count, device=self._device_config.device)
        captured_step = self._graph_capture.capture(lambda: self._run_step(offsets), self._list_mutated_tensors())
        self._flat_parameters.attach_gradient_views()
        self.eager_reason = self._graph_capture.failure_reason
        self._captured_steps[count] = captured_step
        return captured_step

    def _run_step(self, offsets: Tensor) -> None:
        count, images = len(offsets), self._images.images
        positions = offsets + self._device_position
        indices = self._permutation.index_select(0, positions)
        labels = self._images.labels.index_select(0, indices)
        batch = self._scale_pixels(images.index_select(0, indices))
        if self.recipe.augmentation:
            batch = augment_with_generator(batch, self.recipe.augmentation, self._augmentation_generator)
        logits = expand_to_class_logits(self._flat_parameters.forward(batch))
        with torch.no_grad():
            values = logits.detach()
            self._logits.index_copy_(0, positions, values)
            gradient = values.softmax(1).sub_(self._targets.index_select(0, labels)).div_(count)
        self._flat_parameters.backward(logits, gradient)
        torch.index_select(self._lrs_by_position, 0, self._device_position, out=self._lrs)
        self._update()
        self._device_position.add_(count)

    def _scale_pixels(self, pixels: Tensor) -> Tensor:
        """Scale pixels to 0 to 1, in one kernel with the rounding to bfloat16 unless augmentation comes in between."""
        is_rounded = self._device_config.is_bfloat16 and not self.recipe.augmentation
        scaled = torch.empty(
            pixels.shape,
            dtype=torch.bfloat16 if is_rounded else torch.float32,
            device=pixels.device,
            memory_format=torch.channels_last,
        )
        return torch.div(pixels, 255, out=scaled)

    def _list_mutated_tensors(self) -> list[Tensor]:
        """List the tensors that a step changes and the next step reads."""
        gradients = [group.grad for group in self._flat_parameters.parameter_groups.values() if group.grad is not None]
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
        return FlatUpdate(self._optimizer, self.recipe.optimizer, self._lrs[0])

    def _capture_epoch_steps(self) -> None:
        """Capture the steps for both batch sizes of an epoch: the full one and that of the last batch."""
        self.model.train()
        full, rest = divmod(len(self._images), self.recipe.batch_size)
        for count in ([self.recipe.batch_size] if full else []) + ([rest] if rest > 1 else []):
            self._capture_step(count)

    # Inputs of a step

    def _write_step_inputs(self) -> None:
        """Write the epoch's permutation, its learning rates and the position to the device, if they have changed."""
        if self._permutation_epoch != self.epoch:
            self.compute_metrics()  # they are computed with the previous permutation
            self._permutation.copy_(self._get_permutation(self.epoch))
            self._permutation_epoch = self.epoch
            self._host_lrs.clear()
        if self.position not in self._host_lrs:
            self._write_lrs()
        if self._written_position != self.position:
            self._device_position.fill_(self.position)
            self._written_position = self.position

    def _write_lrs(self) -> None:
        positions = range(self.position, len(self._images), self.recipe.batch_size)
        self._host_lrs = {position: self._compute_lr_at(position) for position in positions}
        lrs = torch.tensor(list(self._host_lrs.values()), dtype=torch.float64)[:, None]
        scales = torch.tensor(
            [self._get_lr_scale(group_name) for group_name in self._flat_parameters.parameter_groups],
            dtype=torch.float64,
        )
        table = torch.zeros(len(self._images), len(scales), dtype=torch.float64)
        table[self.position :: self.recipe.batch_size] = lrs * scales
        self._lrs_by_position.copy_(table)

    def _get_lr_scale(self, group_name: str) -> float:
        return self.recipe.transferred_lr_scale if group_name == "transferred" else 1.0

    # Metrics

    def _append_scored_batch(self, position: int, count: int) -> int:
        if self._used_metrics == _METRICS_CAPACITY:
            self.compute_metrics()
            self._losses, self._correct_counts = self._allocate_metrics()
            self._used_metrics = 0
        metric_index, self._used_metrics = self._used_metrics, self._used_metrics + 1
        self._scored_batches.append(_ScoredBatch(position, count, metric_index))
        return metric_index

    def _allocate_metrics(self) -> tuple[Tensor, Tensor]:
        device = self._device_config.device
        return torch.zeros(_METRICS_CAPACITY, device=device), torch.zeros(
            _METRICS_CAPACITY, dtype=torch.long, device=device
        )

    @torch.no_grad()
    def _compute_batch_metrics(self, first: _ScoredBatch, batch_count: int) -> None:
        """Compute the metrics of ``batch_count`` consecutive batches of equal size, beginning with ``first``."""
        begin, end = first.position, first.position + batch_count * first.size
        logits = self._logits[begin:end]
        labels = self._images.labels.index_select(0, self._permutation[begin:end])
        losses = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=self.recipe.label_smoothing)
        correct = logits.argmax(1) == labels
        metric_indices = slice(first.metric_index, first.metric_index + batch_count)
        self._losses[metric_indices] = losses.view(batch_count, first.size).mean(1)
        self._correct_counts[metric_indices] = correct.view(batch_count, first.size).sum(1)
