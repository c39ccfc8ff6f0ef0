"""Values of the browser engine against PyTorch; ``python -m tests.web.compare_networks`` is the long form."""

from pathlib import Path

import numpy as np
import pytest

from playground.core.presets import ARCHITECTURE_PRESETS
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import find_run
from playground.interpret.browser_network import encode_model
from playground.interpret.model import load_model
from tests.web.compare_networks import TOLERANCE, compare_models, draw_architectures, draw_image, make_model

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def test_every_preset_has_pytorchs_values(tmp_path: Path) -> None:
    architectures = [preset.architecture for preset in ARCHITECTURE_PRESETS.values() if not preset.is_broken]
    errors = compare_models([make_model(architecture) for architecture in architectures], tmp_path)
    assert len(errors) == len(architectures)
    assert max(errors) < TOLERANCE


def test_generated_networks_have_pytorchs_values(tmp_path: Path) -> None:
    models = [make_model(architecture) for architecture in draw_architectures(40)]
    assert max(compare_models(models, tmp_path)) < TOLERANCE


def test_trained_weights_have_pytorchs_values(tmp_path: Path) -> None:
    model = load_model(find_run(PRETRAINED))
    assert compare_models([model], tmp_path)[0] < TOLERANCE


@pytest.mark.parametrize("shape", [(4, 224, 160), (2, 5, 9)])
def test_large_and_multichannel_images_have_pytorchs_values(shape: tuple[int, int, int], tmp_path: Path) -> None:
    preset = ARCHITECTURE_PRESETS["residual"].architecture
    model = make_model(preset.adapt_to_images(shape, preset.classes))
    assert draw_image(model).shape == shape
    assert compare_models([model], tmp_path)[0] < TOLERANCE


def test_half_precision_halves_the_file_and_keeps_the_values(tmp_path: Path) -> None:
    model = load_model(find_run(PRETRAINED))
    single, half = encode_model(model), encode_model(model, weight_type="float16")
    assert len(half) < 0.55 * len(single)
    assert 0 < compare_models([model], tmp_path, weight_type="float16")[0] < 5e-3


def test_results_differ_for_another_image(tmp_path: Path) -> None:
    """The comparison would fail for results that do not depend on the image."""
    model = load_model(find_run(PRETRAINED))
    assert compare_models([model], tmp_path, sent_images=[np.zeros((1, 28, 28), dtype=np.float32)])[0] > TOLERANCE
