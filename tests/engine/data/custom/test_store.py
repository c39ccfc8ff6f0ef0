"""Storage of custom datasets: atomic writes, stable names and no path outside the folder."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom import store as module
from playground.engine.data.custom.image_folder import CustomImages, read_image_folder
from playground.engine.data.custom.store import (
    delete_custom_dataset,
    find_custom_dataset,
    find_deleted_dataset,
    list_custom_datasets,
    load_custom_tensors,
    save_custom_dataset,
)
from playground.errors import OwnershipError, SchemaVersionError, StorageError, UnknownNameError
from tests.engine.data.custom.picture_files import FOUR, zipped

KEYS = {"train_images", "train_labels", "test_images", "test_labels"}


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    return home


def own_folder(home: Path) -> Path:
    return home / "datasets" / "own"


def images(*counts: int, first: int = 0, shape: tuple[int, int, int] = (3, 4, 5)) -> LabeledImages:
    """So many images of every class, sorted by class, each filled with a number of its own."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    numbers = torch.arange(first, first + len(labels)).to(torch.uint8)
    return LabeledImages(numbers.view(-1, 1, 1, 1).expand(-1, *shape).contiguous(), labels)


def own(*counts: int, test: LabeledImages | None = None) -> CustomImages:
    names = tuple(f"class {number}" for number in range(len(counts)))
    return CustomImages(train=images(*counts), test=test, class_names=names, skipped=(), skipped_count=0)


def numbers(tensors: dict[str, torch.Tensor], part: str) -> list[tuple[int, int]]:
    """(number, label) of every image."""
    values = tensors[f"{part}_images"]
    assert torch.equal(values, values[:, :1, :1, :1].expand_as(values))
    return list(zip(values[:, 0, 0, 0].tolist(), tensors[f"{part}_labels"].tolist(), strict=True))


def test_what_is_saved_is_listed_and_loaded(home: Path) -> None:
    assert list_custom_datasets() == {}
    name = save_custom_dataset("Cats & dogs", own(12, 18))
    (listed,) = list_custom_datasets().values()
    assert listed.name == name
    assert listed.title == "Cats & dogs"
    assert listed.input_shape == (3, 4, 5)
    assert listed.class_names == ("class 0", "class 1")
    assert (listed.train_size, listed.test_size) == (25, 5)
    tensors = load_custom_tensors(name)
    assert tensors.keys() == KEYS
    assert tensors["train_images"].shape == (25, 3, 4, 5)
    assert tensors["train_images"].dtype == tensors["test_images"].dtype == torch.uint8
    assert tensors["train_labels"].dtype == tensors["test_labels"].dtype == torch.int64
    everything = numbers(tensors, "train") + numbers(tensors, "test")
    assert sorted(everything) == [(number, int(number >= 12)) for number in range(30)]
    assert sorted(path.name for path in (own_folder(home) / name[4:]).iterdir()) == [
        "dataset.json",
        "images.safetensors",
    ]


def test_what_a_zip_holds_can_be_kept() -> None:
    name = save_custom_dataset("Pets", read_image_folder(zipped(FOUR), height=8, width=8, channels=1))
    assert list_custom_datasets()[name].class_names == ("cat", "dog")
    assert load_custom_tensors(name)["train_images"].shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("counts", "tested"), [((2, 2), [1, 1]), ((6, 60), [1, 10]), ((3, 100, 7), [1, 17, 1]), ((9, 9), [2, 2])]
)
def test_a_sixth_of_every_class_is_to_test_with(counts: tuple[int, ...], tested: list[int]) -> None:
    tensors = load_custom_tensors(save_custom_dataset("Mine", own(*counts)))
    assert tensors["test_labels"].bincount().tolist() == tested
    assert (tensors["train_labels"].bincount() + tensors["test_labels"].bincount()).tolist() == list(counts)


def test_images_to_test_with_that_came_along_are_the_ones() -> None:
    tensors = load_custom_tensors(save_custom_dataset("Mine", own(10, 10, test=images(2, 3, first=100))))
    assert sorted(numbers(tensors, "test")) == [(100, 0), (101, 0), (102, 1), (103, 1), (104, 1)]
    assert len(tensors["train_labels"]) == 20


def test_the_first_images_are_of_all_classes() -> None:
    tensors = load_custom_tensors(save_custom_dataset("Mine", own(60, 60, 60)))
    assert set(tensors["train_labels"][:20].tolist()) == set(tensors["test_labels"][:15].tolist()) == {0, 1, 2}


def test_the_same_images_have_the_same_name_and_others_another() -> None:
    name = save_custom_dataset("Mine", own(10, 10))
    stamp = (module._custom_datasets_folder() / name[4:]).stat().st_mtime_ns
    assert save_custom_dataset("Mine", own(10, 10)) == name
    assert (module._custom_datasets_folder() / name[4:]).stat().st_mtime_ns == stamp
    others = [
        own(10, 11),
        own(11, 10),
        own(10, 10, test=images(1, 1)),
        CustomImages(images(10, 10, shape=(3, 5, 4)), None, ("class 0", "class 1"), (), 0),
        CustomImages(images(10, 10), None, ("class 1", "class 0"), (), 0),
    ]
    names = {name, *(save_custom_dataset("Mine", other) for other in others), save_custom_dataset("Yours", own(10, 10))}
    assert len(names) == 7
    assert list_custom_datasets().keys() == names


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Cats & Dogs!", "cats-dogs"),
        ("Äpfel", "apfel"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Windows\\..", "c-windows"),
        ("", "own-images"),
        ("Кошки", "images"),
        ("a\0b\n\x1b[31m", "a-b-31m"),
        ("x" * 500, "x" * 40),
        ("\ud800half", "half"),
        ("....", "images"),
        ("own:own:", "own-own"),
        (f"{'y' * 39} z", "y" * 39),
    ],
)
def test_any_title_becomes_one_harmless_folder(title: str, slug: str, home: Path) -> None:
    around = sorted(home.parent.iterdir())
    name = save_custom_dataset(title, own(2, 2))
    prefix, _, digest = name.rpartition("-")
    assert prefix == f"own:{slug}"
    assert len(digest) == 8
    assert [path.name for path in own_folder(home).iterdir()] == [name[4:]]
    assert sorted(path.name for path in home.iterdir()) == ["cache", "datasets"]
    assert sorted(home.parent.iterdir()) == around
    assert load_custom_tensors(name).keys() == KEYS
    assert list_custom_datasets()[name].title


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mnist",
        "own:",
        "own:gone",
        "own:.",
        "own:..",
        "own:../own/{}",
        "own:{}/",
        "own:{}\n",
        "{}",
        "OWN:{}",
        "own:\0",
    ],
)
def test_only_names_that_are_there_lead_anywhere(name: str, home: Path) -> None:
    kept = save_custom_dataset("Mine", own(2, 2))
    wrong = name.replace("{}", kept[4:])
    for use in (load_custom_tensors, delete_custom_dataset):
        with pytest.raises(UnknownNameError, match="There is no dataset") as caught:
            use(wrong)
        assert kept in caught.value.expected
    assert (home / "cache").exists()
    assert list_custom_datasets().keys() == {kept}


def test_a_deleted_set_is_gone_and_the_others_stay(home: Path) -> None:
    doomed, kept = save_custom_dataset("Doomed", own(2, 2)), save_custom_dataset("Kept", own(2, 2))
    mapped = load_custom_tensors(doomed)
    delete_custom_dataset(doomed)
    assert list_custom_datasets().keys() == {kept}
    assert not [path.name for path in own_folder(home).rglob(".*")], "nothing is left of the images"
    assert [path.name for path in (own_folder(home) / doomed[4:]).iterdir()] == ["dataset.json"]
    gone = find_deleted_dataset(doomed)
    assert gone is not None
    assert (gone.title, gone.is_missing, gone.class_names) == ("Doomed (deleted)", True, ("class 0", "class 1"))
    assert (
        find_deleted_dataset("own:never")
        is find_deleted_dataset("mnist")
        is find_deleted_dataset("own:../kept")
        is None
    )
    assert len(numbers(mapped, "train")) == 2, "who is training on it goes on"
    with pytest.raises(UnknownNameError):
        load_custom_tensors(doomed)
    assert save_custom_dataset("Doomed", own(2, 2)) == doomed


def test_a_set_is_deleted_by_its_owner_or_at_the_machine(home: Path) -> None:
    name = save_custom_dataset("Mine", own(2, 2), owner="me")
    with pytest.raises(OwnershipError, match="another person"):
        delete_custom_dataset(name, "somebody")
    delete_custom_dataset(name, "me")
    assert save_custom_dataset("Mine", own(2, 2), owner="me") == name
    delete_custom_dataset(name)
    assert save_custom_dataset("Mine", own(2, 2), owner="me") == name
    assert save_custom_dataset("Mine", own(2, 2), owner="you") == name
    delete_custom_dataset(name, "you")
    anybody = save_custom_dataset("Anybody's", own(2, 2))
    delete_custom_dataset(anybody, "somebody")
    assert list_custom_datasets() == {}


def changed_record(**fields: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps(record | fields))

    return change


UNLISTED = {
    "no JSON": lambda folder: (folder / "dataset.json").write_text("{"),
    "no text": lambda folder: (folder / "dataset.json").write_bytes(b"\xff\xfe"),
    "empty": lambda folder: (folder / "dataset.json").write_text(""),
    "a list": lambda folder: (folder / "dataset.json").write_text("[]"),
    "gone": lambda folder: (folder / "dataset.json").unlink(),
    "a folder": lambda folder: ((folder / "dataset.json").unlink(), (folder / "dataset.json").mkdir()),
    "newer": changed_record(schema=2),
    "one class": changed_record(class_names=["cat"]),
    "a class without end": changed_record(class_names=["cat", "x" * 81]),
    "two channels": changed_record(channels=2),
    "too high": changed_record(height=257),
    "no test images": changed_record(test_size=0),
    "no title": changed_record(title=""),
}


@pytest.mark.parametrize("damage", UNLISTED)
def test_a_damaged_record_is_left_out_and_can_be_made_again_or_deleted(damage: str, home: Path) -> None:
    kept, name = save_custom_dataset("Kept", own(2, 2)), save_custom_dataset("Mine", own(2, 2))
    UNLISTED[damage](own_folder(home) / name[4:])
    assert list_custom_datasets().keys() == {kept}
    assert module.find_custom_dataset(name) is None
    with pytest.raises((StorageError, SchemaVersionError)):
        load_custom_tensors(name)
    assert save_custom_dataset("Mine", own(2, 2)) == name
    assert list_custom_datasets().keys() == {kept, name}
    assert load_custom_tensors(name).keys() == KEYS
    UNLISTED[damage](own_folder(home) / name[4:])
    delete_custom_dataset(name)
    assert not (own_folder(home) / name[4:] / "images.safetensors").exists()
    assert find_deleted_dataset(name) is None, "what it was nobody knows"
    assert list_custom_datasets().keys() == {kept}


def changed_tensors(**changes: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "images.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        path.unlink()  # mapped files are not written over
        save_file(tensors | {name: change(tensors[name]) for name, change in changes.items()}, path)

    return change


DAMAGES = {
    "cut": lambda folder: os.truncate(folder / "images.safetensors", 100),
    "empty": lambda folder: os.truncate(folder / "images.safetensors", 0),
    "no tensors": lambda folder: (folder / "images.safetensors").write_bytes(b"\x80\x04." * 50),
    "fewer images": changed_tensors(train_images=lambda tensor: tensor[1:].clone()),
    "fewer labels": changed_tensors(test_labels=lambda tensor: tensor[1:].clone()),
    "another size": changed_tensors(test_images=lambda tensor: tensor[..., 1:].clone()),
    "another type": changed_tensors(train_images=lambda tensor: tensor.float()),
    "labels of another type": changed_tensors(train_labels=lambda tensor: tensor.int()),
    "a class too many": changed_tensors(train_labels=lambda tensor: tensor + 1),
    "a class below none": changed_tensors(test_labels=lambda tensor: tensor - 1),
    "another record": changed_record(width=6),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_images_are_told_so(damage: str, home: Path) -> None:
    name = save_custom_dataset("Mine", own(20, 20))
    DAMAGES[damage](own_folder(home) / name[4:])
    with pytest.raises(StorageError, match=name) as caught:
        load_custom_tensors(name)
    assert caught.value.fix
    delete_custom_dataset(name)
    assert list_custom_datasets() == {}


def test_a_full_disk_leaves_nothing_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = save_custom_dataset("Kept", own(2, 2))

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(StorageError, match=r"cannot be written: .*No space left"):
        save_custom_dataset("Mine", own(2, 2))
    assert [path.name for path in own_folder(home).iterdir()] == [kept[4:]]


def test_a_folder_that_cannot_be_made_is_told_so(home: Path) -> None:
    (home / "datasets").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        save_custom_dataset("Mine", own(2, 2))
    assert list_custom_datasets() == {}


def test_a_set_that_is_being_made_or_deleted_is_not_listed(home: Path) -> None:
    name = save_custom_dataset("Mine", own(2, 2))
    shutil.copytree(own_folder(home) / name[4:], own_folder(home) / ".half-made")
    shutil.copytree(own_folder(home) / name[4:], own_folder(home) / "By Hand")
    (own_folder(home) / "file").write_text("")
    assert list_custom_datasets().keys() == {name}


def test_many_at_once_do_not_disturb_each_other(home: Path) -> None:
    def save(number: int) -> str:
        return save_custom_dataset(f"Mine {number}", own(4 + number, 4))

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(save, range(12)))
    assert list_custom_datasets().keys() == set(names)
    assert len(names) == len(set(names)) == len(list(own_folder(home).iterdir()))


def test_record_of_version_0_1_is_read(home: Path) -> None:
    name = save_custom_dataset("mine", own(6, 6), is_drawn=True)
    path = home / "datasets" / "own" / name.removeprefix("own:") / "dataset.json"
    record = json.loads(path.read_text())
    assert record["is_drawn"] is True
    record["drawn"] = record.pop("is_drawn")
    path.write_text(json.dumps(record))
    dataset = find_custom_dataset(name)
    assert dataset is not None
    assert (dataset.has_strokes, dataset.is_flip_invariant) == (True, False)


def test_images_are_not_mapped_where_a_mapped_file_cannot_be_deleted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save_custom_dataset("Shapes", own(12, 18))
    expected = load_custom_tensors(name)
    monkeypatch.setattr(module, "_CAN_DELETE_MAPPED_FILES", False)
    monkeypatch.setattr(module, "load_file", None)
    found = load_custom_tensors(name)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[part], expected[part]) for part in found)
