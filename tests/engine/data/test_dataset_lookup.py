"""Any data set at any size: resizing, colour, recipes that fit, names that are gone; and classes that are drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from playground.codegen.keras_training import generate_training_code
from playground.codegen.torch_scripts import generate_training_script
from playground.core.architecture import Architecture, InputShape
from playground.core.datasets import DATASETS, Dataset
from playground.core.history import History
from playground.core.layers import Conv2d, Flatten, MaxPool2d, Output
from playground.core.recipe import Recipe
from playground.engine.data import dataset_lookup
from playground.engine.data.batch import LabeledImages, StoredSplit
from playground.engine.data.custom.drawn_classes import TRAIN_COPIES, create_images_from_drawings
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import delete_custom_dataset, list_custom_datasets, save_custom_dataset
from playground.engine.data.dataset_lookup import find_dataset, is_available
from playground.engine.data.fetch import list_required_files
from playground.engine.data.splits import load_recipe_splits, load_splits, load_test_images
from playground.engine.data.torchvision_sources import DOWNLOAD_PARSERS, find_source
from playground.engine.runs.repository import create_run
from playground.engine.training.checks import check_training_config
from playground.engine.training.trainer import Trainer
from playground.errors import DatasetUnavailableError, DrawingError, RecipeError, UnknownNameError

COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], dtype=torch.uint8)


def _images(count: int = 6) -> LabeledImages:
    noise = torch.Generator().manual_seed(0)
    return LabeledImages(
        torch.randint(256, (count, 3, 20, 30), generator=noise, dtype=torch.uint8), torch.arange(count) % 2
    )


def test_grey_is_the_luminance() -> None:
    flat = LabeledImages(COLOURS[:, :, None, None].expand(4, 3, 5, 5).contiguous(), torch.zeros(4, dtype=torch.long))
    assert flat.resize((1, 5, 5)).images[:, 0, 2, 2].tolist() == [76, 150, 29, 255]


def test_colour_repeats_grey_and_size_changes() -> None:
    grey = LabeledImages(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16), torch.zeros(1, dtype=torch.long))
    found = grey.resize((3, 32, 8)).images
    assert found.shape == (1, 3, 32, 8)
    assert torch.equal(found[:, 0], found[:, 2])
    assert abs(float(found.float().mean()) - 127.5) < 2


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_colour_becomes_its_luminance_in_any_other_number_of_channels(channels: int) -> None:
    colour = LabeledImages(
        torch.tensor([10, 200, 90], dtype=torch.uint8).view(1, 3, 1, 1), torch.zeros(1, dtype=torch.long)
    )
    assert colour.resize((channels, 1, 1)).images.flatten().tolist() == [131] * channels


def test_the_same_shape_is_the_same_images() -> None:
    images = _images()
    assert images.resize((3, 20, 30)) is images


def test_too_much_for_the_memory_is_refused_before_it_is_made() -> None:
    many = LabeledImages(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(60_000, 1, 1, 1), torch.zeros(60_000))
    with pytest.raises(RecipeError, match="GB of memory"):
        many.resize((3, 256, 256))


def test_mnist_trains_a_colour_net_of_another_size(home: object) -> None:
    net = Architecture(
        input=InputShape(channels=3, height=20, width=24),
        layers=(Conv2d(out_channels=4), MaxPool2d(), Flatten(), Output()),
    )
    recipe = Recipe(limit=200, batch_size=50, validation_size=50)
    history = History.from_events(Trainer(net, recipe).run())
    assert history.failure is None
    assert len(history.steps) == 4
    assert load_test_images("mnist", (3, 20, 24)).images.shape == (10_000, 3, 20, 24)


def test_asking_for_the_own_shape_loads_nothing_twice() -> None:
    recipe = Recipe(limit=100, validation_size=50)
    assert load_recipe_splits(recipe, (1, 28, 28)) is load_recipe_splits(recipe) is load_splits("mnist", 50, 100, None)


def test_a_data_set_that_is_not_here_says_how_to_get_it(home: object) -> None:
    with pytest.raises(DatasetUnavailableError, match="cnn-playground fetch kmnist"):
        load_test_images("kmnist")
    assert not dataset_lookup.is_available(DATASETS["kmnist"])
    assert dataset_lookup.is_available(DATASETS["mnist"])
    gone = dataset_lookup.resolve_dataset(Recipe(dataset="own:nonsense"), Architecture(layers=(Flatten(), Output())))
    assert gone.is_missing
    assert not dataset_lookup.is_available(gone)


def test_a_recipe_is_fitted_to_a_small_data_set(home: object) -> None:
    assert (
        dataset_lookup.fit_recipe_to_dataset(Recipe(dataset="usps")).validation_size == DATASETS["usps"].train_size // 5
    )
    assert dataset_lookup.fit_recipe_to_dataset(Recipe()) == Recipe()
    name = save_custom_dataset("mine", create_images_from_drawings(_drawings(8)), is_drawn=True)  # 480 to train on
    fitted = dataset_lookup.fit_recipe_to_dataset(Recipe(dataset=name, batch_size=512))
    assert (fitted.validation_size, fitted.batch_size) == (96, 48)
    assert dataset_lookup.count_training_images(fitted, dataset_lookup.find_dataset(name)) == 384
    assert dataset_lookup.fit_recipe_to_dataset(Recipe(dataset=name, batch_size=300)).batch_size == 300


def test_what_leaves_nothing_to_train_on_is_said(home: object) -> None:
    name = save_custom_dataset("few", CustomImages(_bytes(8), _bytes(2), ("a", "b"), (), 0))
    net = Architecture(classes=2, layers=(Flatten(), Output())).adapt_to_images((1, 4, 4), 2)
    assert dataset_lookup.count_training_images(Recipe(dataset=name), dataset_lookup.find_dataset(name)) == 0
    with pytest.raises(RecipeError, match="has 8 training images, and 10 are kept out"):
        check_training_config(net, dataset_lookup.fit_recipe_to_dataset(Recipe(dataset=name)))


def _bytes(count: int) -> LabeledImages:
    source = torch.Generator().manual_seed(count)
    return LabeledImages(
        torch.randint(0, 256, (count, 1, 4, 4), generator=source, dtype=torch.uint8), torch.arange(count) % 2
    )


def test_a_deleted_data_set_leaves_its_run_the_names_of_the_classes(home: object) -> None:
    name = save_custom_dataset("mine", create_images_from_drawings(_drawings()), is_drawn=True)
    net = Architecture(classes=2, layers=(Flatten(), Output()))
    run = create_run(net, Recipe(dataset=name))
    assert run.get_dataset().class_names == ("bar", "dot")
    assert run.get_dataset().has_strokes
    delete_custom_dataset(name)
    gone = run.get_dataset()
    assert gone.is_missing
    assert (gone.title, gone.class_names, gone.has_strokes) == ("mine (deleted)", ("bar", "dot"), True)
    assert list_custom_datasets() == {}
    with pytest.raises(UnknownNameError):
        delete_custom_dataset(name)
    assert save_custom_dataset("mine", create_images_from_drawings(_drawings()), is_drawn=True) == name
    assert not run.get_dataset().is_missing
    elsewhere = create_run(net, Recipe(dataset="own:never-was-here"))
    assert elsewhere.get_dataset().class_names == ("0", "1")
    delete_custom_dataset(name)
    with pytest.raises(UnknownNameError, match=r"The images of mine \(deleted\) were deleted"):
        dataset_lookup.find_dataset(name)


# Classes that are drawn


def _drawings(count: int = 4) -> dict[str, list[list[list[tuple[float, float]]]]]:
    """A dot in the middle and a bar, a little different each time."""
    return {
        "dot": [[[(50.0 + n, 50.0), (52.0 + n, 51.0)]] for n in range(count)],
        "bar": [[[(50.0, 10.0 + n), (50.0, 90.0)]] for n in range(count)],
    }


def test_drawn_classes_become_many_images_and_a_net_learns_them(home: object) -> None:
    own = create_images_from_drawings(_drawings())
    assert own.class_names == ("bar", "dot")
    assert len(own.train) == 2 * 3 * TRAIN_COPIES
    assert own.test is not None
    name = save_custom_dataset("bars and dots", own, is_drawn=True)
    recipe = dataset_lookup.fit_recipe_to_dataset(Recipe(dataset=name, batch_size=20, epochs=3, lr=0.01))
    net = Architecture(classes=2, layers=(Flatten(), Output(activation="sigmoid")))
    history = History.from_events(Trainer(net, recipe).run())
    assert history.test is not None
    assert history.test.accuracy == 1.0


def test_no_drawing_is_in_both_parts() -> None:
    """The last drawing of a class is the only one of the test: without it the training images are the same."""
    whole = create_images_from_drawings(_drawings(4))
    others = {name: [*drawn[:3], [[(10.0, 10.0), (90.0, 90.0)]]] for name, drawn in _drawings(4).items()}
    changed = create_images_from_drawings(others)
    assert torch.equal(whole.train.images, changed.train.images)
    assert whole.test is not None
    assert changed.test is not None
    assert not torch.equal(whole.test.images, changed.test.images)


@pytest.mark.parametrize("drawings", [{}, {"dot": _drawings()["dot"]}, _drawings(3)])
def test_too_little_to_learn_from_is_said(drawings: dict[str, list[list[list[tuple[float, float]]]]]) -> None:
    with pytest.raises(DrawingError):
        create_images_from_drawings(drawings)


def test_image_is_scaled_to_one() -> None:
    assert np.isclose(_images().get_image(0).max(), 1, atol=0.02)


# Conformance of all datasets


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_dataset_is_declared_completely_and_resolved_by_every_consumer(dataset: Dataset, home: Path) -> None:
    assert find_dataset(dataset.name) is dataset
    assert dataset.title
    assert dataset.credit.endswith(".")
    assert len(set(dataset.class_names)) == len(dataset.class_names) >= 2
    assert dataset.train_size > dataset.test_size > 0 or dataset.name == "qmnist"
    assert len(dataset.input_shape) == 3
    assert dataset.input_shape[0] in (1, 3)
    assert dataset.is_drawable == dataset.has_strokes
    assert dataset.sample_noun in {"digit", "character", "shape", "image"}
    assert not (dataset.subject in ("digits", "letters") and dataset.is_flip_invariant)
    is_bundled = dataset.origin.parser in dataset_lookup.BUNDLED_LOADERS
    assert is_bundled != (dataset.origin.parser in DOWNLOAD_PARSERS)
    assert is_bundled == (dataset.download_mb == 0)
    assert is_available(dataset) == is_bundled
    _check_exports(dataset)
    if is_bundled:
        return
    source = find_source(dataset.name)
    assert source.files
    assert all(file.urls and file.checksum for file in source.files)
    assert [path for path, _ in list_required_files(dataset.name)] == [file.destination for file in source.files]
    with pytest.raises(DatasetUnavailableError, match=f"{dataset.download_mb} MB") as caught:
        dataset_lookup.load_labeled_images(dataset.name, "test")
    assert f"cnn-playground fetch {dataset.name}" in caught.value.fix


def _check_exports(dataset: Dataset) -> None:
    """Exported scripts read everything that they need from the registry."""
    channels, height, width = dataset.input_shape
    architecture = Architecture(
        input=InputShape(channels=channels, height=height, width=width),
        classes=len(dataset.class_names),
        layers=(Flatten(), Output()),
    )
    recipe, origin = Recipe(dataset=dataset.name), dataset.origin
    assert origin.torchvision is not None
    assert isinstance(getattr(torchvision.datasets, origin.torchvision.class_name), type)
    torch_script = generate_training_script(architecture, recipe, dataset=dataset)
    keras_script = generate_training_code(architecture, recipe, dataset)
    assert f"datasets.{origin.torchvision.class_name}(folder, {origin.torchvision.arguments_code}" in torch_script
    assert (f"keras.datasets.{origin.keras_dataset}.load_data()" in keras_script) == bool(origin.keras_dataset)
    assert ("data/train" in keras_script) != bool(origin.keras_dataset)
    for script in (torch_script, keras_script) if origin.keras_dataset else (torch_script,):
        compile(script, "script", "exec")
        assert origin.missing_images_remark in script


@pytest.mark.parametrize("name", [dataset.name for dataset in DATASETS.values() if not dataset.download_mb])
def test_bundled_tensors_match_the_declaration(name: str) -> None:
    dataset = DATASETS[name]
    sizes: dict[StoredSplit, int] = {"train": dataset.train_size, "test": dataset.test_size}
    for split, size in sizes.items():
        data = dataset_lookup.load_labeled_images(name, split)
        assert data.images.shape == (size, *dataset.input_shape)
        assert data.labels.unique().tolist() == list(range(len(dataset.class_names)))


def test_no_module_but_the_registry_lists_datasets_for_loading() -> None:
    used = {dataset.origin.parser for dataset in DATASETS.values()}
    assert used == set(dataset_lookup.BUNDLED_LOADERS) | set(DOWNLOAD_PARSERS)
