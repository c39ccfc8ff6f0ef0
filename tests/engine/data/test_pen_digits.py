"""The pen strokes that come with the program, and the data set that they make of MNIST."""

import hashlib
import lzma
from pathlib import Path

import pytest
import torch

from playground.core.datasets.mnist import PEN_DIGIT_COUNT, PEN_VARIANTS_PER_DIGIT
from playground.engine.data import pen_digits as pens
from playground.engine.data.dataset_lookup import find_dataset
from playground.engine.data.rasterize import IMAGE_SIZE, rasterize
from playground.engine.data.splits import load_splits, load_test_images
from playground.engine.paths import find_bundled
from playground.engine.progress import run_to_end
from playground.errors import AssetError


def test_the_bundled_strokes_are_those_that_the_program_knows() -> None:
    drawings = pens.load_pen_drawings()
    assert len(drawings) == PEN_DIGIT_COUNT
    writers = {drawing["writer"] for drawing in drawings}
    assert len(writers) == 20
    assert not any(writer % 3 == 0 for writer in writers), "these people are for measuring"
    assert {drawing["label"] for drawing in drawings} == set(range(10))


def test_every_drawing_is_drawn_with_several_pens() -> None:
    data = run_to_end(pens.load_pen_images())
    images, labels = data.images, data.labels
    assert images.shape == (PEN_DIGIT_COUNT * PEN_VARIANTS_PER_DIGIT, 1, IMAGE_SIZE, IMAGE_SIZE)
    assert images.dtype == torch.uint8
    first = images[:PEN_VARIANTS_PER_DIGIT].float() / 255
    assert labels[:PEN_VARIANTS_PER_DIGIT].unique().tolist() == [pens.load_pen_drawings()[0]["label"]]
    ink = first.sum(dim=(1, 2, 3))
    assert len(set(ink.tolist())) == PEN_VARIANTS_PER_DIGIT
    usual = torch.from_numpy(rasterize(pens.load_pen_drawings()[0]["strokes"]))
    assert ((first > 0.5) & (usual > 0.5)).sum(dim=(1, 2, 3)).min() > 0.5 * (usual > 0.5).sum()


def test_mnist_and_pen_strokes_are_one_data_set_with_mnist_s_test_images() -> None:
    info = find_dataset("mnist+pen")
    splits = load_splits("mnist+pen", 5000)
    assert (
        len(splits.train) + len(splits.validation)
        == info.train_size
        == 60_000 + PEN_DIGIT_COUNT * PEN_VARIANTS_PER_DIGIT
    )
    assert len(splits.test) == info.test_size
    assert torch.equal(splits.test.images, load_test_images("mnist").images)


@pytest.mark.parametrize("content", [b"", b"rubbish", lzma.compress(b"[]")], ids=len)
def test_damaged_strokes_are_told(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strokes.jsonl.xz").write_bytes(content)
    monkeypatch.setattr(pens, "find_bundled", lambda _: tmp_path)
    with pytest.raises(AssetError, match=r"strokes\.jsonl\.xz cannot be used"):
        pens.load_pen_drawings()


def test_the_bundle_is_small() -> None:
    path = find_bundled("assets/pens") / "strokes.jsonl.xz"
    assert path.stat().st_size < 10**6
    assert hashlib.sha256(lzma.decompress(path.read_bytes())).hexdigest() == pens._SHA256
