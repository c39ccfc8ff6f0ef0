"""Every preset that is not broken trains a few steps on its dataset."""

import math
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.presets.base import ArchitecturePreset
from playground.core.recipe import Recipe
from playground.engine.data.batch import LabeledImages
from playground.engine.data.fetch import download_dataset
from playground.engine.data.splits import Splits
from playground.engine.training.trainer import Trainer

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "cifar-10-batches-py.tar.xz"
WORKING = [preset for preset in ARCHITECTURE_PRESETS.values() if not preset.is_broken]
GREY = [preset for preset in WORKING if preset.architecture.input.channels == 1]
COLOUR = [preset for preset in WORKING if preset.architecture.input.channels == 3]
BATCHES, BATCH_SIZE, VALIDATION_SIZE = 3, 32, 50


def few_steps(preset: ArchitecturePreset) -> Recipe:
    """The preset's own settings, for a few small batches."""
    few = {"batch_size": BATCH_SIZE, "limit": BATCHES * BATCH_SIZE, "validation_size": VALIDATION_SIZE, "epochs": 1}
    return (preset.recipe or Recipe()).replace(**few)


def check_steps(trainer: Trainer) -> None:
    before = trainer.get_weights()
    fields = []
    for event in trainer.run():
        fields.append(event)
        if event.kind == "epoch_done":  # before the test images are evaluated
            break
    losses = [event.loss for event in fields if event.kind == "step_done"]
    assert len(losses) == BATCHES
    assert all(math.isfinite(loss) for loss in losses)
    assert [event.size for event in fields if event.kind == "evaluated"] == [VALIDATION_SIZE]
    after = trainer.get_weights()
    unchanged = [name for name, _ in trainer.model.named_parameters() if torch.equal(before[name], after[name])]
    assert not unchanged


@pytest.mark.parametrize("preset", GREY, ids=lambda preset: preset.name)
def test_preset_trains_on_mnist(preset: ArchitecturePreset) -> None:
    recipe = few_steps(preset)
    assert recipe.dataset == "mnist"
    check_steps(Trainer(preset.architecture, recipe))


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A data folder with a copy of CIFAR-10."""
    if not ARCHIVE.exists():
        pytest.skip("CIFAR-10 is not beside the project: only made-up images of its shape are trained on")
    home = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(ARCHIVE) as opened:
        opened.extractall(home / "datasets", filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_PLAYGROUND_HOME", str(home))
        assert not any(progress.completed for progress in download_dataset("cifar10"))
        yield


@pytest.mark.parametrize("preset", COLOUR, ids=lambda preset: preset.name)
def test_preset_for_color_images_trains_on_cifar10(preset: ArchitecturePreset, cifar10: None) -> None:
    recipe = few_steps(preset)
    assert recipe.dataset == "cifar10"
    check_steps(Trainer(preset.architecture, recipe))


@pytest.mark.parametrize("preset", COLOUR, ids=lambda preset: preset.name)
def test_preset_for_color_images_trains_on_synthetic_images(preset: ArchitecturePreset) -> None:
    source = torch.Generator().manual_seed(0)

    def made_up(count: int) -> LabeledImages:
        images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=source)
        return LabeledImages(images, torch.arange(count) % 10).resize(preset.architecture.input.shape)

    splits = Splits(made_up(BATCHES * BATCH_SIZE), made_up(VALIDATION_SIZE), made_up(10))
    check_steps(Trainer(preset.architecture, few_steps(preset), splits=splits))
