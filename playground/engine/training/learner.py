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
from playground.engine.data.batch import Images, scale_pixels
from playground.engine.model.build import class_scores
from playground.engine.model.device import Compute
from playground.engine.model.flat_parameters import WorkingCopy
from playground.engine.rng import generator, mixed_seed
from playground.engine.training.optim import apply_knobs, lr_at, make_optimizer


@dataclass(frozen=True)
class Batch:
    """What training on one batch gave; ``loss`` (its mean) and ``correct`` still lie on the device."""

    step: int
    epochs: float
    loss: Tensor
    correct: Tensor
    count: int
    lr: float


class Learner:
    """A model, its optimizer, and the place in the data that they have come to.

    After ``train_batch`` the gradients of that batch stay in the model's weights until the next one. ``transferred``
    names weights that come from another network, for which the recipe has a learning rate of their own.
    """

    def __init__(
        self,
        model: nn.Sequential,
        recipe: Recipe,
        images: Images,
        compute: Compute,
        transferred: Collection[str] = (),
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.step = 0
        self.epoch = 0
        self.position = 0  # images of this epoch that were trained on
        self._images = images
        self._compute = compute
        self._working = WorkingCopy(model, compute, transferred)
        first, *others = self._working.parts.values()
        self._optimizer = make_optimizer([first], recipe)
        for part in others:
            self._optimizer.add_param_group({"params": [part]})
        self._dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
        self._order: tuple[int, Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches that cover every training image; a last batch of one image is left out (batch norm needs two)."""
        full, rest = divmod(len(self._images), self.recipe.batch_size)
        return full + int(rest > 1 or full == 0)

    @property
    def epochs(self) -> float:
        """Epochs trained so far, with the fraction."""
        return self.epoch + self.position / len(self._images)

    @property
    def is_done(self) -> bool:
        """Whether every epoch was trained."""
        return self.epoch >= self.recipe.epochs

    @property
    def lr(self) -> float:
        """The learning rate of the next batch."""
        # In batches of the present size, so that the schedule goes on from the same place when the size changes.
        done = self.epoch * self.steps_per_epoch + self.position / self.recipe.batch_size
        return lr_at(self.recipe, done, self.steps_per_epoch)

    def has_passed(self, parts: int, before: int) -> bool:
        """Whether the batch that began at position ``before`` ended a ``parts``-th of an epoch."""
        count = len(self._images)
        return self.position == 0 or before * parts // count < self.position * parts // count

    def train_batch(self) -> Batch:
        """Train on the next batch and move on."""
        end = self.position + self.recipe.batch_size
        chosen = self._order_of(self.epoch)[self.position : end]
        labels = self._images.labels.index_select(0, chosen)
        images = scale_pixels(self._images.images.index_select(0, chosen))
        images = augment(images, self.recipe.augmentation, seed=self.recipe.seed, step=self.step)
        lr = self.lr
        for part, group in zip(self._working.parts, self._optimizer.param_groups, strict=True):
            group["lr"] = lr * self.recipe.transferred_lr_share if part == "transferred" else lr
        if not self.model.training:
            self.model.train()
        scores = self._forward(images)
        loss = functional.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)
        self._working.backward(loss)
        self._optimizer.step()
        self._move_to(end)
        correct = (scores.detach().argmax(1) == labels).sum()
        return Batch(self.step, self.epochs, loss.detach(), correct, len(labels), lr)

    def change(self, recipe: Recipe, dropout_rates: tuple[float, ...] | None = None) -> None:
        """Go on by another recipe and with other dropout rates; the optimizer's moments stay."""
        self.recipe = recipe
        apply_knobs(self._optimizer, recipe)
        for module, rate in zip(self._dropouts, dropout_rates or (), strict=bool(dropout_rates)):
            module.p = rate

    def state(self) -> dict[str, Any]:
        """All that exact resumption needs, in tensors and numbers."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where ``state`` was taken; raises what torch raises for the state of another network or optimizer.

        Without an optimizer's state (a fork with another optimizer) its moments begin anew.
        """
        self.model.load_state_dict(state["model"])
        if state["optimizer"] is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.position = state["step"], state["epoch"], state["position"]

    def _move_to(self, position: int) -> None:
        self.step += 1
        self.position = position
        if len(self._images) - position < min(2, self.recipe.batch_size):
            self.epoch, self.position = self.epoch + 1, 0

    def _forward(self, images: Tensor) -> Tensor:
        if not self._dropouts:
            return class_scores(self._working.scores(images))
        devices = [self._compute.device] if self._compute.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(mixed_seed("dropout", self.recipe.seed, self.step))
            return class_scores(self._working.scores(images))

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self._images), generator=generator("order", self.recipe.seed, epoch))
            self._order = (epoch, order.to(self._compute.device))
        return self._order[1]
