"""Features by a pretrained net on the command line: made, and learnt from."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from playground.engine.data.feature_extraction import EXTRACTORS
from tests.cli.command_line import say
from tests.random_extractor import expect_what_is_there, light_and_dark, put_random_weights

SMALL = "mobilenet_v3_small"


def test_logistic_regression_learns_from_what_a_net_saw(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRACTORS, SMALL, EXTRACTORS[SMALL])
    put_random_weights(SMALL)
    expect_what_is_there()
    name = light_and_dark(60)
    made = say("features", name, "--by", SMALL, "--train", "40", "--json").json["dataset"]
    assert made.startswith("own:light-by-mobilenetv3-small-")
    settings = ("--batch-size", "10", "--epochs", "10", "--lr", "0.01")
    trained = say("train", "logistic", "--dataset", made, *settings, "--json").json
    assert trained["test_accuracy"] == 1.0
    for light, expected in ((220, "light"), (25, "dark")):
        Image.new("RGB", (40, 30), (light, light, light)).save(tmp_path / "some.png")
        (answer,) = say("predict", "latest", tmp_path / "some.png", "--json").json
        assert answer["class"] == expected
    told = say("features", name, "--by", SMALL, "--train", "40")
    assert told.out == f"{made}: 576 features of every image\n"


def test_what_cannot_be_made_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way out")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    told = say("features", light_and_dark())
    assert told.code == 2
    assert f"put resnet18-f37072fd.pth into {home / 'datasets' / 'torchvision'} by hand" in told.err
    assert say("features", "mnist", "--by", "alexnet").code == 2
    assert say("features", "nope").code == 2
    assert "10 classes" in say("features", "mnist", "--train", "3").err
