"""Mutated uploads: a short form of ``fuzz_uploads``."""

import pytest

from tests.engine.data.custom.fuzz_uploads import fuzz


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on damaged metadata, and zipfile's, on repeated names
@pytest.mark.parametrize("seed", range(4))
def test_any_upload_gives_images_or_a_reason_and_writes_nothing_elsewhere(seed: int) -> None:
    outcomes = fuzz(100, seed)
    assert outcomes.keys() >= {
        "upload_zip: accepted",
        "upload_zip: InvalidDatasetError",
        "upload_picture: accepted",
        "upload_picture: ImageFileError",
    }
    assert sum(outcomes.values()) == 100
