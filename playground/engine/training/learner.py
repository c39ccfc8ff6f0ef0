"""The arithmetic of training: one batch after another, from a position that is all that has to be remembered.

What is drawn for a batch is a pure function of (seed, epoch) and (seed, step), and the position in an epoch counts
images, not batches: so a run that is cut anywhere, or whose batch size changes on the way, can be told exactly.
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
    """A model, its optimizer, and the place in the data that they have come to.

    After ``train_batch`` the gradients of that batch stay in the model's weights until the next one. ``transferred``
    names weights that come from another network, for which the recipe has a learning rate of their own.
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
    def steps_per_epoch(self) -> int:
        """Batches that cover every training image; a last batch of one image is left out (batch norm needs two)."""
        full, rest = divmod(len(self._images), self.recipe.batch_size)
        return full + int(rest > 1 or full == 0)

    @property
    def epochs_trained(self) -> float:
        """Epochs trained so far, with the fraction."""
        return self.epoch + self.position / len(self._images)

    @property
    def is_finished(self) -> bool:
        """Whether every epoch was trained."""
        return self.epoch >= self.recipe.epochs

    @property
    def lr(self) -> float:
        """The learning rate of the next batch."""
        return self._compute_lr_at(self.position)

    def _compute_lr_at(self, position: int) -> float:
        # In batches of the present size, so that the schedule goes on from the same place when the size changes.
        done = self.epoch * self.steps_per_epoch + position / self.recipe.batch_size
        return compute_lr(self.recipe, done, self.steps_per_epoch)

    def has_crossed_interval(self, intervals_per_epoch: int, previous_position: int) -> bool:
        """Whether the batch that began at position ``previous_position`` ended a ``parameter_groups``-th of an epoch."""
        count = len(self._images)
        return (
            self.position == 0
            or previous_position * intervals_per_epoch // count < self.position * intervals_per_epoch // count
        )

    def train_batch(self) -> BatchResult:
        """Train on the next batch and move on."""
        end = self.position + self.recipe.batch_size
        chosen = self._get_permutation(self.epoch)[self.position : end]
        labels = self._images.labels.index_select(0, chosen)
        images = scale_pixels(self._images.images.index_select(0, chosen))
        images = augment(images, self.recipe.augmentation, seed=self.recipe.seed, step=self.step)
        lr = self.lr
        for part, group in zip(self._flat_parameters.parameter_groups, self._optimizer.param_groups, strict=True):
            group["lr"] = lr * self.recipe.transferred_lr_scale if part == "transferred" else lr
        if not self.model.training:
            self.model.train()
        scores = self._forward(images)
        loss = functional.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)
        self._flat_parameters.backward(loss)
        self._optimizer.step()
        self._advance_to(end)
        correct = (scores.detach().argmax(1) == labels).sum()
        return BatchResult(self.step, self.epochs_trained, loss.detach(), correct, len(labels), lr)

    def compute_metrics(self) -> None:
        """Fill in ``loss`` and ``correct_count`` of every batch so far, if ``train_batch`` has deferred them."""

    def update_hyperparameters(self, recipe: Recipe, dropout_rates: tuple[float, ...] | None = None) -> None:
        """Go on by another recipe and with other dropout rates; the optimizer's moments stay."""
        self.recipe = recipe
        update_optimizer(self._optimizer, recipe)
        for module, rate in zip(self._dropout_layers, dropout_rates or (), strict=bool(dropout_rates)):
            module.p = rate

    def state_dict(self) -> dict[str, Any]:
        """All that exact resumption needs, in tensors and numbers."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where ``state_dict`` was taken; raises what torch raises for the state of another network or optimizer.

        Without an optimizer's state (a fork with another optimizer) its moments begin anew.
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
