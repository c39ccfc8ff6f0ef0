"""The training step: batches, forward, backward and update. The position in the data is the loop's only state.

The order of images is a pure function of (seed, epoch), augmentation and dropout of (seed, step). The position counts
images, not batches, so that a run resumes exactly after a kill or a change of the batch size.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.core.recipe import Recipe
from playground.engine.data.augment import augment
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import expand_to_class_logits
from playground.engine.model.device import DeviceConfig
from playground.engine.model.flat_parameters import FlatParameters
from playground.engine.rng import derive_seed, make_generator
from playground.engine.training.optimizers import compute_lr, make_optimizer, update_optimizer


@dataclass(frozen=True)
class BatchResult:
    """Metrics of one training batch; ``loss`` (the mean) and ``correct_count`` are still on the device.

    They are valid after ``Learner.compute_metrics``.
    """

    step: int
    epochs_trained: float
    loss: Tensor
    correct_count: Tensor
    size: int
    lr: float


class Learner:
    """A model, its optimizer and their position in the training data.

    After ``train_batch`` the batch's gradients stay in the model's weights until the next batch. The recipe's
    ``transferred_lr_scale`` applies to the weights in ``transferred_names``, which come from another network.
    """

    eager_reason = ""
    """Reason why steps are not replayed as captured CUDA graphs; empty if they are, and on a CPU."""

    def __init__(
        self,
        model: nn.Sequential,
        recipe: Recipe,
        images: LabeledImages,
        device_config: DeviceConfig,
        transferred_names: Collection[str] = (),
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.step = 0
        self.epoch = 0
        self.position = 0  # images of this epoch that were trained on
        self._images = images
        self._device_config = device_config
        if device_config.device.type == "mps":
            self.eager_reason = "Captured steps need CUDA."
        self._flat_parameters = FlatParameters(model, device_config, transferred_names)
        groups = self._flat_parameters.list_optimizer_groups(per_weight=recipe.optimizer.is_matrix_wise)
        self._optimizer = make_optimizer(groups, recipe, model)
        self._dropout_layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        self._cached_permutation: tuple[int, Tensor] | None = None

    @property
    def images_per_epoch(self) -> int:
        """Number of training images."""
        return len(self._images)

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch; a last batch of one image is skipped, since batch norm needs two."""
        full, rest = divmod(len(self._images), self.recipe.batch_size)
        return full + int(rest > 1 or full == 0)

    @property
    def epochs_trained(self) -> float:
        """Epochs trained so far, including the fraction of the current one."""
        return self.epoch + self.position / len(self._images)

    @property
    def is_finished(self) -> bool:
        """True after the last epoch."""
        return self.epoch >= self.recipe.epochs

    @property
    def lr(self) -> float:
        """The learning rate of the next batch."""
        return self._compute_lr_at(self.position)

    def _compute_lr_at(self, position: int) -> float:
        # Counted in batches of the current size: a changed batch size continues the schedule at the same point.
        done = self.epoch * self.steps_per_epoch + position / self.recipe.batch_size
        return compute_lr(self.recipe, done, self.steps_per_epoch)

    def has_crossed_interval(self, intervals_per_epoch: int, previous_position: int) -> bool:
        """Return whether the batch from ``previous_position`` completed one of the epoch's equal intervals."""
        count = len(self._images)
        return (
            self.position == 0
            or previous_position * intervals_per_epoch // count < self.position * intervals_per_epoch // count
        )

    def train_batch(self) -> BatchResult:
        """Train on the next batch and advance the position."""
        end = self.position + self.recipe.batch_size
        indices = self._get_permutation(self.epoch)[self.position : end]
        labels = self._images.labels.index_select(0, indices)
        images = scale_pixels(self._images.images.index_select(0, indices))
        images = augment(images, self.recipe.augmentation, seed=self.recipe.seed, step=self.step)
        lr = self.lr
        for name, group in zip(self._flat_parameters.parameter_groups, self._optimizer.param_groups, strict=True):
            group["lr"] = lr * self.recipe.transferred_lr_scale if name == "transferred" else lr
        if not self.model.training:
            self.model.train()
        logits = self._forward(images)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self._flat_parameters.backward(loss)
        self._optimizer.step()
        self._advance_to(end)
        correct_count = (logits.detach().argmax(1) == labels).sum()
        return BatchResult(self.step, self.epochs_trained, loss.detach(), correct_count, len(labels), lr)

    def compute_metrics(self) -> None:
        """Fill in ``loss`` and ``correct_count`` of past batches; eager steps compute them at once."""

    def update_hyperparameters(self, recipe: Recipe, dropout_rates: tuple[float, ...] | None = None) -> None:
        """Apply new live hyperparameters and dropout rates; the optimizer keeps its moments."""
        self.recipe = recipe
        update_optimizer(self._optimizer, recipe)
        for module, rate in zip(self._dropout_layers, dropout_rates or (), strict=bool(dropout_rates)):
            module.p = rate

    def state_dict(self) -> dict[str, Any]:
        """Return the state for exact resume: tensors and numbers."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; raises PyTorch's errors for the state of another network or optimizer.

        An optimizer state of None (a fork with another optimizer) leaves the new optimizer's moments at zero.
        """
        self.model.load_state_dict(state_dict["model"])
        if state_dict["optimizer"] is not None:
            self._optimizer.load_state_dict(state_dict["optimizer"])
        self.step, self.epoch, self.position = state_dict["step"], state_dict["epoch"], state_dict["position"]

    def _advance_to(self, position: int) -> None:
        self.step += 1
        self.position = position
        if len(self._images) - position < min(2, self.recipe.batch_size):
            self.epoch, self.position = self.epoch + 1, 0

    def _forward(self, images: Tensor) -> Tensor:
        if not self._dropout_layers:
            return expand_to_class_logits(self._flat_parameters.forward(images))
        devices = [self._device_config.device] if self._device_config.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derive_seed("dropout", self.recipe.seed, self.step))
            return expand_to_class_logits(self._flat_parameters.forward(images))

    def _get_permutation(self, epoch: int) -> Tensor:
        if self._cached_permutation is None or self._cached_permutation[0] != epoch:
            order = torch.randperm(len(self._images), generator=make_generator("order", self.recipe.seed, epoch))
            self._cached_permutation = (epoch, order.to(self._device_config.device))
        return self._cached_permutation[1]
