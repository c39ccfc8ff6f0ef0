"""Tiny data, tiny networks, a clock and an inbox that do what they are told."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from playground.core import events
from playground.core.architecture import Architecture, InputShape
from playground.core.augmentations.flip import Flip
from playground.core.augmentations.noise import Noise
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.shift import Shift
from playground.core.augmentations.thickness import Thickness
from playground.core.layers import (
    Activation,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.splits import Splits
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_checkpoint
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer

DEVICE = os.environ.get("TEST_DEVICE", "cpu")
"""Device of the recipes; ``TEST_DEVICE=cuda`` runs the tests of resume, fork and replay on a GPU."""

EVERY_STEP = EvaluationSchedule(
    max_evaluations_per_epoch=2, validation_subset_size=20, checkpoints_per_epoch=2, report_interval_s=0.0
)
"""Each batch is reported at once, so that events lie where commands were given."""

AUGMENTATION = (Shift(pixels=1), Rotate(degrees=15), Flip(p=0.2), Noise(std=0.1), Thickness(amount=0.5))


def net(*layers: Layer, classes: int = 3, size: int = 8) -> Architecture:
    return Architecture(input=InputShape(height=size, width=size), classes=classes, layers=layers)


PLAIN = net(Conv2d(out_channels=4), MaxPool2d(), Flatten(), Linear(out_features=8), Output())
RICH = net(
    Conv2d(out_channels=4, padding="same", bias=False, activation="none"),
    BatchNorm(),
    Activation(),
    Residual(
        layers=(
            Conv2d(out_channels=6, stride=2, padding=1, bias=False, activation="none"),
            BatchNorm(),
            Dropout(p=0.1),
            Conv2d(out_channels=6, padding=1, activation="none"),
        )
    ),
    Dropout(p=0.3),
    GlobalAvgPool(),
    Output(),
)


def tiny_images(count: int, *, classes: int = 3, size: int = 8, seed: int = 0, noise: int = 60) -> LabeledImages:
    """Every class has a bright square in a place of its own, under noise: separable, and not by the mean."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    labels = labels[torch.randperm(count, generator=source)]
    images = torch.randint(0, noise, (count, 1, size, size), dtype=torch.uint8, generator=source)
    side = size // 2
    for place, label in enumerate(labels.tolist()):
        top, left = divmod(label, 2)
        images[place, 0, top * side : top * side + side - 1, left * side : left * side + side - 1] += 150
    return LabeledImages(images, labels)


def tiny_splits(train: int = 96, validation: int = 30, test: int = 30, *, classes: int = 3, size: int = 8) -> Splits:
    counts = enumerate((train, validation, test))
    return Splits(*(tiny_images(count, classes=classes, size=size, seed=seed) for seed, count in counts))


def tiny_recipe(**fields: Any) -> Recipe:
    return Recipe(**({"batch_size": 16, "epochs": 2, "lr": 1e-2, "precision": "float32", "device": DEVICE} | fields))


class FakeClock:
    """Goes on by ``tick`` seconds whenever it is read, and by hand."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 100.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Script:
    """An inbox with commands by step; while the trainer waits, it gets those of ``then``, one after another."""

    def __init__(
        self, at: Mapping[int, Sequence[events.Command]] | None = None, then: Iterable[events.Command] = ()
    ) -> None:
        self._at = {step: list(commands) for step, commands in (at or {}).items()}
        self.then = list(then)
        self.trainer: Trainer | None = None
        self.waited = 0

    def poll(self) -> Sequence[events.Command]:
        assert self.trainer is not None
        return self._at.pop(self.trainer.step, [])

    def wait(self) -> events.Command:
        self.waited += 1
        assert self.then, "the trainer waits for a command that never comes"
        return self.then.pop(0)


def make_trainer(architecture: Architecture = PLAIN, recipe: Recipe | None = None, **options: Any) -> Trainer:
    usual: dict[str, Any] = {"splits": tiny_splits(), "evaluation_schedule": EVERY_STEP, "clock": FakeClock(0.001)}
    return Trainer(architecture, recipe or tiny_recipe(), **(usual | options))


def play(trainer: Trainer, script: Script | None = None) -> list[events.Event]:
    """Every event of a run under a script."""
    script = script or Script()
    script.trainer = trainer
    return list(trainer.run(script))


def record_run(
    run: Run,
    trainer: Trainer,
    script: Script | None = None,
    *,
    until: Callable[[events.Event], bool] | None = None,
) -> list[events.Event]:
    """Train and record a run to its end, or until killed after an event for which ``until`` is true; its events."""
    script = script or Script()
    script.trainer = trainer
    stream = []
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, script):
            stream.append(event)
            if until and until(event):
                break
    return stream


def through_bytes(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as it comes back from its file."""
    from io import BytesIO

    loaded: dict[str, Any] = torch.load(BytesIO(serialize_checkpoint(checkpoint)), weights_only=True)
    return loaded


def kinds(stream: Iterable[events.Event], *left_out: str) -> list[tuple[str, int]]:
    return [(event.kind, event.step) for event in stream if event.kind not in left_out]


def figures(stream: Iterable[events.Event]) -> list[dict[str, Any]]:
    """Metrics of every batch, evaluation and epoch, which must not depend on interruptions of the run."""
    told = ("step_done", "evaluated", "epoch_done")
    return [event.model_dump(exclude={"elapsed_s", "images_per_second"}) for event in stream if event.kind in told]


def assert_same_weights(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different, f"weights differ in {different}"


def until(condition: Callable[[], Any], timeout: float, what: str = "the condition") -> Any:
    """The first true value of ``condition``; fails after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true in {timeout} s"
        time.sleep(0.02)
