"""Explanations of channels by the browser engine against those of Python, for every layer kind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.interpret.activations.activations import compute_activations
from playground.interpret.activations.arithmetic import ChannelExplanation
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.browser_network import encode_model
from playground.interpret.model import Model
from playground.ui.components.arithmetic_view import encode_explanation
from tests.core.layer_examples import NUMBERED_EXAMPLES, build_network_around
from tests.web.compare_networks import draw_image, make_model
from tests.web.engine_runner import run_node, write_cases

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

_SCRIPT = Path(__file__).parent / "explain_channels.mjs"


def list_explanations(model: Model) -> list[ChannelExplanation]:
    """List the first and the last channel of every layer."""
    image = draw_image(model)
    return [
        explain_channel(model, image, activations.layer_index, channel)
        for activations in compute_activations(model, image)
        for channel in sorted({0, len(activations.output) - 1})
    ]


def explain_in_node(models: list[Model], expected: list[list[ChannelExplanation]], folder: Path) -> list[Any]:
    """Explain the same channels in JavaScript."""
    write_cases([(encode_model(model), draw_image(model)) for model in models], folder)
    channels = [
        (number, item.layer_index, item.channel, *item.pre_activation.shape)
        for number, items in enumerate(expected)
        for item in items
    ]
    (folder / "channels.json").write_text(json.dumps(channels), encoding="utf-8")
    run_node(_SCRIPT, folder)
    explanations: list[Any] = json.loads((folder / "explanations.json").read_text(encoding="utf-8"))
    return explanations


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[Any, ChannelExplanation]]]:
    """Pairs of both explanations for each example."""
    models = [make_model(build_network_around(example.layer)) for example in NUMBERED_EXAMPLES.values()]
    expected = [list_explanations(model) for model in models]
    found = iter(explain_in_node(models, expected, tmp_path_factory.mktemp("explanations")))
    return [[(next(found), item) for item in items] for items in expected]


@pytest.mark.parametrize("number", range(len(NUMBERED_EXAMPLES)), ids=NUMBERED_EXAMPLES)
def test_explanation_equals_pythons(number: int, pairs: list[list[tuple[Any, ChannelExplanation]]]) -> None:
    for found, expected in pairs[number]:
        assert found.keys() - {"totals"} == encode_explanation(expected).keys()
        assert found["rule"] == expected.operation
        assert tuple(found["kernelSize"]) == expected.window.kernel_size
        assert (found["stride"], found["dilation"]) == (expected.window.stride, expected.window.dilation)
        assert tuple(found["padding"]) == expected.window.padding
        assert found["firstInputChannel"] == expected.first_input_channel
        assert tuple(found["inputShape"]) == expected.inputs.shape
        np.testing.assert_allclose(found["input"], expected.inputs.ravel(), atol=1e-4)
        assert (found["weights"] is None) == (expected.weights is None)
        if expected.weights is not None:
            np.testing.assert_array_equal(np.float32(found["weights"]), expected.weights.ravel())
        assert found["bias"] == expected.bias
        assert found["statistics"].keys() == expected.norm_parameters.keys()
        for name, value in expected.norm_parameters.items():
            assert found["statistics"][name] == pytest.approx(value, abs=1e-4)
        np.testing.assert_allclose(found["totals"], expected.pre_activation.ravel(), atol=1e-4, rtol=1e-4)
