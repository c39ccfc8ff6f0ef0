"""Captured CUDA graphs on a GPU: every step is replayed, and replayed, eager and resumed steps are identical."""

import hashlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from playground.core.architecture import Architecture
from playground.core.augmentations import Augmentation
from playground.core.events import RunStarted, Stop, UpdateHyperparameters
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.cuda_graph import GraphCapture
from playground.engine.training.evaluate import evaluate
from playground.engine.training.trainer import Trainer
from tests.engine.helpers import (
    AUGMENTATION,
    PLAIN,
    RICH,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    play,
    through_bytes,
    tiny_recipe,
    tiny_splits,
)
from tests.engine.training.test_captured_step import EVERY_AUGMENTATION, OPTIMIZERS
from tests.narrowing import require_type

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")

PRESETS = (
    "guide",
    "simple",
    "lenet5",
    "dash",
    "tiny",
    "normalized",
    "residual",
    "vgg",
    "separable",
    "all-convolutional",
)


def cuda_recipe(**fields: Any) -> Recipe:
    return tiny_recipe(**({"device": "cuda", "precision": "auto", "schedule": OneCycle()} | fields))


def make_mnist_sized_trainer(architecture: Architecture, recipe: Recipe) -> Trainer:
    """Create a trainer on images of MNIST's size, with three batches of 128 and a smaller one in each epoch."""
    return make_trainer(architecture, recipe, splits=tiny_splits(3 * 128 + 40, classes=10, size=28))


def assert_captured(trainer: Trainer) -> None:
    assert isinstance(trainer._learner, CapturedLearner)
    assert trainer._learner.eager_reason == ""
    replays = trainer._learner._captured_steps.values()
    assert replays
    assert all(replay.graph is not None for replay in replays)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_captured_and_resumes_with_identical_weights(name: str) -> None:
    """MNIST-sized batches, at which cuDNN chooses between algorithms, with augmentation and a smaller last batch."""
    architecture = get_architecture_preset(name).architecture
    recipe = cuda_recipe(batch_size=128, lr=2e-3, augmentation=AUGMENTATION, label_smoothing=0.1)
    whole = make_mnist_sized_trainer(architecture, recipe)
    expected = figures(play(whole))
    assert_captured(whole)
    first = make_mnist_sized_trainer(architecture, recipe)
    stream = play(first, Script({3: [Stop()]}))
    second = make_mnist_sized_trainer(architecture, recipe)
    second.restore(through_bytes(first.create_checkpoint()))
    assert figures(stream + play(second)) == expected
    assert_same_weights(second.get_weights(), whole.get_weights())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", [Sgd(), Sgd(momentum=0.0), Adam(), AdamW(), RmsProp(momentum=0.5), Adagrad()])
def test_every_optimizer_resumes_with_identical_weights(optimizer: Any, precision: str) -> None:
    recipe = cuda_recipe(optimizer=optimizer, precision=precision, augmentation=AUGMENTATION, weight_decay=0.01)
    whole = make_trainer(RICH, recipe, splits=tiny_splits(50))
    expected = figures(play(whole))
    assert_captured(whole)
    first = make_trainer(RICH, recipe, splits=tiny_splits(50))
    stream = play(first, Script({5: [Stop()]}))
    second = make_trainer(RICH, recipe, splits=tiny_splits(50))
    second.restore(through_bytes(first.create_checkpoint()))
    assert figures(stream + play(second)) == expected
    assert_same_weights(second.get_weights(), whole.get_weights())


@pytest.mark.parametrize("augmentation", [(), *((item,) for item in EVERY_AUGMENTATION), EVERY_AUGMENTATION], ids=str)
def test_replayed_steps_equal_the_same_steps_run_eagerly(
    augmentation: tuple[Augmentation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = cuda_recipe(augmentation=augmentation)
    whole = make_trainer(RICH, recipe, splits=tiny_splits(50))
    expected = figures(play(whole))
    assert_captured(whole)

    def refuse(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(GraphCapture, "_capture_graph", refuse)
    eager = make_trainer(RICH, recipe, splits=tiny_splits(50))
    stream = play(eager)
    assert figures(stream) == expected
    assert "operation not permitted" in require_type(stream[0], RunStarted).eager_reason
    assert_same_weights(eager.get_weights(), whole.get_weights())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_replayed_steps_match_steps_on_the_cpu(optimizer: str) -> None:
    """In float32 without augmentation, only the order of summation differs between the devices."""
    recipe = tiny_recipe(optimizer=OPTIMIZERS[optimizer], weight_decay=0.01, schedule=OneCycle(), epochs=1)
    losses = []
    for device in ("cpu", "cuda"):
        trainer = make_trainer(PLAIN, recipe.replace(device=device), splits=tiny_splits(50))
        losses.append([event.loss for event in play(trainer) if event.kind == "step_done"])
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_resume_after_hyperparameter_change_gives_identical_weights() -> None:
    changes = {
        "lr": 0.02,
        "optimizer": {"kind": "sgd", "momentum": 0.3},
        "augmentation": [{"kind": "flip"}],
        "dropout": [0.0, 0.5],
        "batch_size": 9,
    }
    script = {3: [UpdateHyperparameters(hyperparameters=changes)]}
    recipe = cuda_recipe(optimizer=Sgd())
    whole = make_trainer(RICH, recipe, splits=tiny_splits(50))
    expected = figures(play(whole, Script(script)))
    assert_captured(whole)
    first = make_trainer(RICH, recipe, splits=tiny_splits(50))
    stream = play(first, Script(script | {6: [Stop()]}))
    second = make_trainer(RICH, recipe, splits=tiny_splits(50))
    second.restore(through_bytes(first.create_checkpoint()))
    assert figures(stream + play(second)) == expected
    assert_same_weights(second.get_weights(), whole.get_weights())


def test_two_forks_of_a_checkpoint_end_with_identical_weights() -> None:
    parent = make_trainer(RICH, cuda_recipe(), splits=tiny_splits(50))
    play(parent, Script({4: [Stop()]}))
    checkpoint = through_bytes(parent.create_checkpoint())
    ends = []
    for _ in range(2):
        fork = make_trainer(RICH, cuda_recipe(), splits=tiny_splits(50))
        fork.restore(checkpoint)
        play(fork, Script({4: [UpdateHyperparameters(hyperparameters={"lr": 0.003, "epochs": 4})]}))
        ends.append(fork.get_weights())
    assert_same_weights(*ends)


def test_captured_evaluation_equals_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    trainer = make_trainer(RICH, cuda_recipe(epochs=1), splits=tiny_splits(96, 2050, 30))
    play(trainer)
    assert trainer._evaluator.captured_evaluator is not None
    actual = trainer._evaluator.captured_evaluator.evaluate(trainer._evaluator.validation, with_probes=True)
    dead = trainer._evaluator.health_probes.count_dead_channels()
    with trainer._evaluator.health_probes.record_activations():
        expected = evaluate(trainer.model, trainer._evaluator.validation)
    assert torch.equal(actual.logits, expected.logits)
    assert (actual.loss, actual.accuracy, dead) == (
        expected.loss,
        expected.accuracy,
        trainer._evaluator.health_probes.count_dead_channels(),
    )


def test_training_keeps_the_state_of_the_default_generator() -> None:
    torch.cuda.manual_seed(11)
    expected = torch.rand(4, device="cuda")
    torch.cuda.manual_seed(11)
    play(make_trainer(RICH, cuda_recipe(epochs=1, augmentation=AUGMENTATION)))
    assert torch.equal(torch.rand(4, device="cuda"), expected)


def compute_run_digest() -> str:
    """Compute the SHA-256 digest of the weights after a short run."""
    recipe = cuda_recipe(batch_size=128, augmentation=AUGMENTATION)
    trainer = make_mnist_sized_trainer(get_architecture_preset("normalized").architecture, recipe)
    play(trainer)
    content = b"".join(value.numpy().tobytes() for value in trainer.get_weights().values())
    return hashlib.sha256(content).hexdigest()


def test_another_process_trains_identical_weights() -> None:
    script = f"from {__name__} import compute_run_digest; print(compute_run_digest())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=200)
    assert other.stdout.split()[-1] == compute_run_digest()
