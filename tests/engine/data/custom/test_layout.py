"""Folders of common datasets: their classes and splits are found, and remarks say what was inferred."""

from collections import Counter

import pytest

from playground.engine.data.custom.archive import FoundFile
from playground.engine.data.custom.layout import FolderLayout, infer_layout


def _infer(*names: str, folders: tuple[str, ...] = ()) -> FolderLayout:
    files = [FoundFile(tuple(name.split("/")), 1, lambda: b"") for name in names]
    return infer_layout(files, [tuple(folder.split("/")) for folder in folders])


def _in(folders: str, *names: str) -> list[str]:
    """Two files in each of the folders, which are separated by spaces, or files with these names."""
    return [f"{folder}/{name}" for folder in folders.split() for name in names or ("1.jpg", "2.jpg")]


def _counts(layout: FolderLayout) -> tuple[dict[str, int], dict[str, int]]:
    train, test = (Counter(layout.class_names[label] for _, label in part) for part in (layout.train, layout.test))
    return dict(train), dict(test)


_TWO = {"cat": 2, "dog": 2}
_LAYOUTS = {
    "Intel scenes": [
        *_in("seg_train/seg_train/cat seg_train/seg_train/dog seg_test/seg_test/cat seg_test/seg_test/dog"),
        *_in("seg_pred/seg_pred"),
    ],
    "chest X-rays": [
        *_in("chest_xray/train/cat chest_xray/train/dog chest_xray/test/cat chest_xray/test/dog"),
        *_in("chest_xray/chest_xray/train/cat"),
    ],
    "fruits 360": _in(
        "f/fruits-360/Training/cat f/fruits-360/Training/dog f/fruits-360/Test/cat f/fruits-360/Test/dog"
    ),
    "monkeys": _in("training/training/cat training/training/dog validation/validation/cat validation/validation/dog"),
    "camel case": _in("TrainingSet/cat TrainingSet/dog TestSet/cat TestSet/dog"),
    "one word": _in("trainset/cat trainset/dog testset/cat testset/dog"),
    "spaces": [f"{part} Data/{name}" for part in ("Train", "Test") for name in _in("cat dog")],
    "short names": _in("data/train/cat data/train/dog data/val/cat data/val/dog"),
    "other case of the classes": _in("train/cat train/dog test/CAT test/Dog"),
    "split below the classes": _in("cat/train cat/test dog/train dog/test"),
    "numbers": _in("train1/cat train1/dog test1/cat test1/dog"),
}


@pytest.mark.parametrize("names", _LAYOUTS.values(), ids=_LAYOUTS)
def test_training_and_test_folders_of_common_datasets_are_found(names: list[str]) -> None:
    assert _counts(_infer(*names)) == (_TWO, _TWO)


def test_validation_images_join_the_training_images_if_there_is_a_test_folder() -> None:
    for validation in ("val", "valid", "Validation", "dev"):
        layout = _infer(*_in(f"train/cat train/dog {validation}/cat {validation}/dog test/cat test/dog"))
        assert _counts(layout) == ({"cat": 4, "dog": 4}, _TWO)
        assert f"The images in {validation} are added to the training images." in layout.remarks
    layout = _infer(*_in("train/cat train/dog val/cat val/dog"))
    assert _counts(layout) == (_TWO, _TWO)
    assert "The images in val are the test images." in layout.remarks


def test_flat_test_folder_is_left_out_with_a_remark() -> None:
    layout = _infer(*_in("train/cat train/dog test"))
    assert _counts(layout) == (_TWO, {})
    assert layout.remarks == (
        "Files without a class folder in test, which are left out: 2.",
        "One sixth of the images of each class is used for testing.",
    )


def test_flat_test_folder_without_labels_makes_the_validation_images_the_test_images() -> None:
    assert _counts(_infer(*_in("train/cat train/dog val/cat val/dog test"))) == (_TWO, _TWO)


def test_test_images_of_the_alphabet_are_named_after_their_class() -> None:
    layout = _infer(
        *_in("asl_alphabet_train/asl_alphabet_train/A asl_alphabet_train/asl_alphabet_train/N"),
        *_in("asl_alphabet_train/asl_alphabet_train/nothing"),
        *_in("asl_alphabet_test/asl_alphabet_test", "A_test.jpg", "N_test.jpg", "nothing_test.jpg"),
    )
    assert _counts(layout) == ({"A": 2, "N": 2, "nothing": 2}, {"A": 1, "N": 1, "nothing": 1})
    assert "The classes of the images in asl_alphabet_test are taken from their names." in layout.remarks


def test_numbered_test_images_of_numbered_classes_have_no_labels() -> None:
    assert _counts(_infer(*_in("train/1 train/2"), *_in("test", "1.jpg", "2.jpg"))) == ({"1": 2, "2": 2}, {})


def test_names_such_as_cat_1_are_classes_if_there_are_no_class_folders() -> None:
    names = [f"{name}.{number}.jpg" for name in ("cat", "dog") for number in range(2)]
    for layout in (_infer(*names), _infer(*_in("train", *names), *_in("test1"))):
        assert _counts(layout) == (_TWO, {})
        assert layout.remarks[0] == "The classes are taken from the file names: cat, dog."
    assert _infer("IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg").class_names == ()


def test_classes_with_the_words_of_splits_are_classes() -> None:
    for names in ("toy_train test_tube", "train bus", "training_shoe tennis_shoe", "test train_station"):
        assert set(_infer(*_in(names)).class_names) == set(names.split())


def test_class_of_the_test_images_alone_is_left_out_with_a_remark() -> None:
    layout = _infer(*_in("train/cat train/dog test/cat test/dog test/owl"))
    assert _counts(layout) == (_TWO, _TWO)
    assert layout.remarks == ("No training images: owl in test is left out.",)


def test_test_folder_with_other_classes_is_left_out_with_a_remark() -> None:
    layout = _infer(*_in("train/cat train/dog test/owl test/ant"))
    assert _counts(layout) == (_TWO, {})
    assert layout.remarks[0] == "No training images: ant, owl in test is left out."


def test_empty_class_folder_is_named() -> None:
    assert "owl has no images: it does not become a class." in _infer(*_in("cat dog"), folders=("owl", "cat")).remarks
    layout = _infer(*_in("train/cat train/dog test/cat test/dog"), folders=("train/owl", "train", "test/ant"))
    assert layout.remarks == ("owl has no images: it does not become a class.",)


def test_folders_that_all_have_the_same_folders_are_suspicious() -> None:
    layout = _infer(*_in("color/cat color/dog gray/cat gray/dog"))
    assert layout.class_names == ("color", "gray")
    assert "color, gray all contain the folders cat, dog" in layout.remarks[-1]
    assert len(_infer(*_in("cat/small cat/large dog/small")).remarks) == 1
