"""Feature extraction with a pretrained network on the command line."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from playground.engine.data.feature_extraction import EXTRACTORS
from tests.cli.command_line import invoke
from tests.random_extractor import expect_what_is_there, light_and_dark, put_random_weights

SMALL = "mobilenet_v3_small"


def test_logistic_regression_learns_from_extracted_features(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRACTORS, SMALL, EXTRACTORS[SMALL])
    put_random_weights(SMALL)
    expect_what_is_there()
    name = light_and_dark(60)
    made = invoke("features", name, "--by", SMALL, "--train", "40", "--json").json["dataset"]
    assert made.startswith("own:light-by-mobilenetv3-small-")
    settings = ("--batch-size", "10", "--epochs", "10", "--lr", "0.01")
    trained = invoke("train", "logistic", "--dataset", made, *settings, "--json").json
    assert trained["test_accuracy"] == 1.0
    for light, expected in ((220, "light"), (25, "dark")):
        Image.new("RGB", (40, 30), (light, light, light)).save(tmp_path / "some.png")
        (prediction,) = invoke("predict", "latest", tmp_path / "some.png", "--json").json
        assert prediction["class"] == expected
    result = invoke("features", name, "--by", SMALL, "--train", "40")
    assert result.stdout == f"{made}: 576 features per image\n"


def test_failed_feature_extraction_reports_the_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way out")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    result = invoke("features", light_and_dark())
    assert result.exit_code == 2
    assert f"put resnet18-f37072fd.pth into {home / 'datasets' / 'torchvision'} by hand" in result.stderr
    assert invoke("features", "mnist", "--by", "alexnet").exit_code == 2
    assert invoke("features", "nope").exit_code == 2
    assert "10 classes" in invoke("features", "mnist", "--train", "3").stderr
