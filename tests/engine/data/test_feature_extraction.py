"""Features are those of torchvision's nets, up to what eight bits cost; random weights stand for the real ones."""

import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from playground.engine.data import feature_extraction as module
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import list_custom_datasets, load_custom_tensors, save_custom_dataset
from playground.engine.data.dataset_lookup import find_dataset, load_labeled_images
from playground.engine.data.feature_extraction import (
    EXTRACTORS,
    compute_input_shape,
    compute_quantization,
    create_feature_dataset,
    extract_image_features,
    quantize,
)
from playground.engine.model.device import DeviceConfig
from playground.engine.progress import Progress
from playground.errors import DatasetUnavailableError, DownloadError, InvalidDatasetError, UnknownNameError
from tests.engine.data.mirror import Mirror
from tests.random_extractor import expect_what_is_there, light_and_dark, put_random_weights

SMALL = "mobilenet_v3_small"
CLASSES = 12


def put(name: str, monkeypatch: pytest.MonkeyPatch, content: object = None) -> Path:
    """Random weights, or something else, where a net looks for its own."""
    monkeypatch.setitem(EXTRACTORS, name, EXTRACTORS[name])  # brought back afterwards
    path = put_random_weights(name, content)
    expect_what_is_there()
    return path


@pytest.fixture
def weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the small extractor's weights."""
    return put(SMALL, monkeypatch)


def one_of_each_class(channels: int = 3) -> tuple[str, Tensor, Tensor]:
    """A data set with one image of each class in both parts, so that a label tells which one it is; its images."""
    source = torch.Generator().manual_seed(3)
    coarse = torch.randint(0, 256, (2, CLASSES, channels, 4, 4), generator=source, dtype=torch.uint8)
    train, test = coarse.repeat_interleave(8, 3).repeat_interleave(8, 4)
    labels = torch.arange(CLASSES)
    names = tuple(f"class {label}" for label in range(CLASSES))
    name = save_custom_dataset(
        "Blocks", CustomImages(LabeledImages(train, labels), LabeledImages(test, labels), names, (), 0)
    )
    return name, train, test


def made_of(name: str, extractor: str, **sizes: Any) -> str:
    """Create a feature dataset and return its name."""
    *_, last = create_feature_dataset(name, extractor, **sizes)
    assert isinstance(last, str)
    return last


def theirs(extractor: str, path: Path, images: Tensor) -> Tensor:
    """Features before the classifier of torchvision's own network, with its own transforms."""
    net = models.get_model(extractor).eval()
    net.load_state_dict(torch.load(path, weights_only=True))
    prepare = models.get_model_weights(extractor)["IMAGENET1K_V1"].transforms(crop_size=128, resize_size=128)
    with torch.inference_mode():
        found: Tensor = create_feature_extractor(net, ["flatten"])(prepare(images.expand(-1, 3, -1, -1)))["flatten"]
    return found


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_the_table_is_torchvision_s(extractor: str) -> None:
    known, weights = EXTRACTORS[extractor], models.get_model_weights(extractor)["IMAGENET1K_V1"]
    assert known.weights_file.urls == (weights.url,)
    assert weights.url.endswith(f"-{known.weights_file.checksum}.pth")
    assert len(known.weights_file.checksum) == 8
    assert known.download_mb == round(weights.meta["_file_size"] * 2**20 / 1e6)
    head = getattr(models.get_model(extractor), known.head)
    assert next(layer for layer in head.modules() if hasattr(layer, "in_features")).in_features == known.feature_count


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(("extractor", "channels"), [("resnet18", 3), (SMALL, 1)])
def test_features_are_those_of_torchvision_s_net(
    home: Path, extractor: str, channels: int, bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "choose_device_config", lambda recipe: DeviceConfig(torch.device("cpu"), bfloat16))
    path = put(extractor, monkeypatch)
    name, train, test = one_of_each_class(channels)
    made = made_of(name, extractor)
    expected = {
        "train": theirs(extractor, path, train),
        "test": theirs(extractor, path, test),
    }
    low, high = np.quantile(expected["train"].numpy(), [0.001, 0.999])
    tensors = load_custom_tensors(made)
    for part, values in expected.items():
        order = tensors[f"{part}_labels"].argsort()
        found = tensors[f"{part}_images"][order].flatten(1).float()
        wanted = ((values - low) / (high - low) * 255).clamp(0, 255)
        error = (found - wanted).abs()
        if bfloat16:
            assert error.mean() < 3
        else:
            assert error.max() < 0.8, "half a level, and a pixel of an enlarged image that was rounded the other way"
        assert wanted.std() > 10, "images differ enough to tell one from another"


def test_the_new_set_says_what_it_is_and_keeps_classes_and_parts(weights: Path) -> None:
    made = find_dataset(made_of("mnist", SMALL, train_size=60, test_size=30))
    assert made.title == "MNIST by MobileNetV3-Small"
    assert made.class_names == find_dataset("mnist").class_names
    assert made.input_shape == (1, 24, 24)
    assert "Yann LeCun" in made.credit
    assert not made.is_flip_invariant
    assert not made.has_strokes
    tensors = load_custom_tensors(made.name)
    sizes: dict[Literal["train", "test"], int] = {"train": 60, "test": 30}
    for part, size in sizes.items():
        of_all = load_labeled_images("mnist", part).labels.bincount().double()
        shares = tensors[f"{part}_labels"].bincount()
        assert shares.sum() == size
        assert (shares - of_all / of_all.sum() * size).abs().max() < 1


def test_the_same_images_give_the_same_set(weights: Path) -> None:
    name = light_and_dark()
    assert made_of(name, SMALL) == made_of(name, SMALL)
    assert len(list_custom_datasets()) == 2


def test_progress_is_told_and_who_leaves_makes_nothing(weights: Path) -> None:
    name = light_and_dark(100)
    *steps, made = create_feature_dataset(name, SMALL)
    looks = [step for step in steps if isinstance(step, Progress) and step.total]
    assert [(step.completed, step.total) for step in looks] == [(0, 200), (64, 200), (128, 200), (192, 200)]
    assert looks[1].stage == "MobileNetV3-Small: image 64 of 200"
    assert made in list_custom_datasets()
    kept = list_custom_datasets().keys()
    left = create_feature_dataset(name, SMALL, train_size=50)
    assert next(step for step in left if isinstance(step, Progress) and step.completed)
    left.close()
    assert list_custom_datasets().keys() == kept


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((1, 28, 28), (3, 128, 128)),
        ((3, 32, 32), (3, 128, 128)),
        ((3, 128, 128), (3, 128, 128)),
        ((3, 200, 180), (3, 200, 180)),
        ((3, 256, 256), (3, 224, 224)),
        ((3, 16, 64), (3, 64, 256)),
        ((1, 1, 256), (3, 8, 2048)),
    ],
)
def test_images_are_brought_to_a_size_in_their_own_proportions(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert compute_input_shape(shape) == wanted


@pytest.mark.parametrize("rectified", [False, True])
def test_eight_bits_cost_at_most_half_a_level_and_the_far_ends(rectified: bool) -> None:
    features = torch.randn((400, 576), generator=torch.Generator().manual_seed(5)) * 7 + 2
    features = features.relu() if rectified else features
    features[:3, 0] = 1e6
    found = quantize(features, *compute_quantization(features[:300]))
    assert found.dtype == torch.uint8
    low, high = np.quantile(features[:300].numpy(), [0.001, 0.999])
    assert high < 30, "a few far values do not take the scale"
    level = (high - low) / 255
    inside = (features >= low) & (features <= high)
    assert inside.double().mean() > 0.997
    assert (found * level + low - features)[inside].abs().max() <= level * 0.5001
    assert set(found[features > high].tolist()) == {255}
    assert set(found[features <= low].tolist()) == {0}


def test_a_net_that_says_the_same_of_everything_is_no_error() -> None:
    features = torch.full((4, 6), 2.5)
    assert not quantize(features, *compute_quantization(features)).any()


def test_one_picture_more_gets_the_features_that_it_has_in_the_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("resnet18", monkeypatch)
    name, train, test = one_of_each_class()
    made = find_dataset(made_of(name, "resnet18"))
    assert made.features is not None
    assert (made.features.extractor, made.features.image_shape) == ("resnet18", (3, 32, 32))
    tensors = load_custom_tensors(made.name)
    for part, images in (("train", train), ("test", test)):
        kept = tensors[f"{part}_images"][tensors[f"{part}_labels"].argsort()]
        for place in (0, CLASSES - 1):
            found = extract_image_features(made.features, images[place].numpy().astype(np.float32) / np.float32(255))
            assert found.shape == (1, 16, 32)
            assert np.abs(found * 255 - kept[place].numpy()).max() <= 2, "bfloat16 sums depend on the batch"


def test_a_picture_without_the_net_that_looks_at_it_is_told_what_is_missing(weights: Path) -> None:
    made = find_dataset(made_of(light_and_dark(), SMALL))
    assert made.features is not None
    weights.unlink()
    module._load_cached_extractor.cache_clear()
    with pytest.raises(
        DatasetUnavailableError, match="features of MobileNetV3-Small, whose weights are missing"
    ) as told:
        extract_image_features(made.features, np.zeros((3, 8, 8), dtype=np.float32))
    assert weights.name in str(told.value.expected)


def refuse(*_: object, **__: object) -> None:
    raise urllib.error.URLError("no way out")


@pytest.mark.parametrize("content", [None, b"", b"half of it"], ids=["no file", "empty file", "partial file"])
def test_without_a_network_it_is_said_which_file_to_put_where(
    content: bytes | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    name, place = light_and_dark(), home / "datasets" / "torchvision" / "resnet18-f37072fd.pth"
    if content is not None:
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    with pytest.raises(DownloadError) as told:
        made_of(name, "resnet18")
    assert "ResNet-18 cannot be downloaded" in told.value.what
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth: no way out." in told.value.what
    assert f"put resnet18-f37072fd.pth into {place.parent} by hand" in told.value.fix
    assert list_custom_datasets().keys() == {name}


def test_weights_are_fetched_once_and_checked(
    weights: Path,
    mirrors: tuple[Mirror, Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    mirror, content = mirrors[0], weights.read_bytes()
    monkeypatch.setattr(module, "_WEIGHTS_BASE_URL", mirror.url.removesuffix("data.bin"))
    weights.unlink()
    name = light_and_dark()
    mirror.content = content[:-1] + b"?"
    with pytest.raises(DownloadError, match="another checksum"):
        made_of(name, SMALL)
    mirror.content = content
    assert made_of(name, SMALL) == made_of(name, SMALL)
    assert weights.read_bytes() == content
    assert mirror.asked == [None, None]


class Harm:
    """Object whose unpickling creates a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("harmed"),)


def test_what_is_in_a_weights_file_is_not_run(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    put(SMALL, monkeypatch, Harm())
    with pytest.raises(pickle.UnpicklingError):
        made_of(light_and_dark(), SMALL)
    assert not Path("harmed").exists()


def test_features_of_features_are_refused(weights: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="already consists of features"):
        made_of(made_of(light_and_dark(), SMALL), SMALL)


def test_what_cannot_be_made_is_said_before_anything_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(UnknownNameError, match="resnet18, mobilenet_v3_small"):
        made_of("mnist", "resnet50")
    with pytest.raises(UnknownNameError, match="no dataset 'nope'"):
        made_of("nope", SMALL)
    with pytest.raises(DatasetUnavailableError, match="31 MB"):
        made_of("fashion-mnist", SMALL)
    for sizes in ({"train_size": 9}, {"test_size": 9}, {"test_size": -1}):
        with pytest.raises(InvalidDatasetError, match="10 classes of MNIST"):
            made_of("mnist", SMALL, **sizes)
