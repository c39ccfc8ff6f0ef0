"""Counterfactuals: by hand for linear networks, and their properties on any network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Flatten, Output
from playground.engine.data.rasterize import rasterize
from playground.engine.runs.repository import load_pretrained_run
from playground.errors import PlaygroundError
from playground.interpret.attribution.counterfactual import Counterfactual, find_counterfactual
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model
from tests import strategies
from tests.interpret.nets import model_of, set_weights

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def _linear(weight: list[list[float]], bias: list[float]) -> Model:
    """A net on one row of pixels; one row of weights for a class, or a single one for a sigmoid."""
    output = Output(activation="sigmoid") if len(weight) == 1 else Output()
    size, classes = InputShape(height=1, width=len(weight[0])), max(2, len(weight))
    model = model_of(Architecture(input=size, classes=classes, layers=(Flatten(), output)))
    set_weights(model.module[1], weight, bias)
    return model


def _row(*pixels: float) -> np.ndarray:
    return np.array([[pixels]], dtype=np.float32)


def _last(model: Model, image: np.ndarray, target: int | None = None, steps: int = 150) -> Counterfactual:
    *_, (progress, answer) = find_counterfactual(model, image, target, steps=steps)
    assert progress.fraction == 1
    return answer


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_distance_to_the_decision_boundary_of_a_linear_network(scale: float) -> None:
    """Class 1 trails by 3·0.5 + 4·0.5 − 4.5 = −1; the border's normal is (3, 4), of length 5: distance 0.2."""
    model = _linear([[1 * scale, 2 * scale], [4 * scale, 6 * scale]], [0, -4.5 * scale])
    answer = _last(model, _row(0.5, 0.5))
    assert answer.is_successful
    assert answer.target == 1
    assert answer.distance == pytest.approx(0.2, rel=0.02)
    np.testing.assert_allclose(answer.difference, _row(0.12, 0.16), atol=0.01)
    assert predict(model, [answer.image])[0].top_class == 1


@pytest.mark.parametrize(("bias", "target"), [(-4.5, 1), (-2.5, 0)])
def test_both_classes_of_a_sigmoid(bias: float, target: int) -> None:
    model = _linear([[3, 4]], [bias])
    assert predict(model, [_row(0.5, 0.5)])[0].top_class == 1 - target
    answer = _last(model, _row(0.5, 0.5))
    assert (answer.is_successful, answer.target) == (True, target)
    assert answer.distance == pytest.approx(0.2, rel=0.02)
    assert (answer.difference > 0).all() == (target == 1)
    assert answer.probability == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_decision_boundary_closer_than_one_step(seed: int) -> None:
    """100 pixels in the middle, so that no bound is met: the way to the border is along the weights."""
    random = np.random.default_rng(seed)
    weight, image = random.normal(size=100), random.uniform(0.3, 0.7, (1, 1, 100)).astype(np.float32)
    model = _linear([[0] * 100, weight.tolist()], [0, -float(weight @ image.ravel()) - 0.05])
    answer = _last(model, image)
    assert answer.is_successful
    assert answer.distance == pytest.approx(0.05 / np.linalg.norm(weight), rel=0.02)


def test_coarse_search_ends_on_the_decision_boundary() -> None:
    """Class 1 trails by 1 at slopes (3, 3): steps of 0.15 each way go too far, and are shortened to 1/√18."""
    model, image = _linear([[0, 0], [3, 3]], [4, 0]), _row(0.5, 0.5)
    *_, (_, answer) = find_counterfactual(model, image, steps=4, lr=0.15)
    assert answer.is_successful
    assert answer.distance == pytest.approx(18**-0.5, rel=0.002)


def test_pixels_stay_between_black_and_white() -> None:
    """Class 1 trails by 0.5, slopes (4, 1): the first pixel can add 0.1 at most, the second makes up for the rest."""
    answer = _last(_linear([[0, 0], [4, 1]], [4.3, 0]), _row(0.9, 0.2))
    assert answer.is_successful
    np.testing.assert_allclose(answer.difference, _row(0.1, 0.1), atol=0.005)
    assert answer.distance == pytest.approx(0.02**0.5, rel=0.02)
    assert answer.image.max() <= 1


def test_target_class_among_many_classes() -> None:
    """Scores x, y, 1 − x − y at (0.5, 0.1): 0.5, 0.1, 0.4.

    To class 1 the border is x = y, 0.4/√2 away; to class 2, the second guess, 2x + y = 1, 0.1/√5 away.
    """
    model = _linear([[1, 0], [0, 1], [-1, -1]], [0, 0, 1])
    second, asked = _last(model, _row(0.5, 0.1)), _last(model, _row(0.5, 0.1), target=1)
    assert (second.target, asked.target) == (2, 1)
    assert second.distance == pytest.approx(0.1 / 5**0.5, rel=0.02)
    # At (0.3, 0.3), the nearest point of x = y, class 2 would lead with 0.4: the nearest where class 1 does is (⅓, ⅓).
    assert asked.distance == pytest.approx(((0.5 - 1 / 3) ** 2 + (1 / 3 - 0.1) ** 2) ** 0.5, rel=0.02)


def test_image_already_predicted_as_target_is_unchanged() -> None:
    image = _row(0.5, 0.5)
    answers = list(find_counterfactual(_linear([[1, 2], [4, 6]], [0, -4.5]), image, target=0))
    ((progress, answer),) = answers
    assert (progress.fraction, answer.is_successful, answer.distance) == (1.0, True, 0.0)
    np.testing.assert_array_equal(answer.image, image)
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-1)))


def test_unreachable_target_gives_the_closest_attempt() -> None:
    """Class 1 trails by 5 − x + y at least 4, in the corner (1, 0)."""
    answer = _last(_linear([[0, 0], [1, -1]], [5, 0]), _row(0.5, 0.5))
    assert not answer.is_successful
    np.testing.assert_allclose(answer.image, _row(1, 0), atol=0.02)
    assert answer.probability == pytest.approx(1 / (1 + np.exp(4)), rel=0.05)


def test_network_with_zero_gradient() -> None:
    image = _row(0.5, 0.25)
    answer = _last(_linear([[0, 0], [0, 0], [0, 0]], [1, 0, 0]), image)
    assert not answer.is_successful
    np.testing.assert_array_equal(answer.image, image)


def test_best_result_never_gets_worse() -> None:
    model = _linear([[1, 2], [4, 6]], [0, -4.5])
    answers = list(find_counterfactual(model, _row(0.5, 0.5)))
    progress = [part.fraction for part, _ in answers]
    assert progress == sorted(set(progress))
    assert len(progress) == 15
    assert progress[0] == pytest.approx(1 / 15)
    assert progress[-1] == 1.0
    distances = [answer.distance for _, answer in answers if answer.is_successful]
    assert len(distances) > 10
    assert distances == sorted(distances, reverse=True)


def test_zero_steps_change_nothing() -> None:
    answer = _last(_linear([[1, 2], [4, 6]], [0, -4.5]), _row(0.5, 0.5), steps=0)
    assert (answer.is_successful, answer.distance) == (False, 0.0)


def test_counterfactual_of_the_pretrained_network_is_locally_minimal() -> None:
    """A drawn 1 made into a 7: found, near, and 99 % of the change are not enough."""
    model = load_model(load_pretrained_run())
    one = rasterize([[(0.0, 0.0), (0.0, 10.0)]])
    assert predict(model, [one])[0].top_class == 1
    answer = _last(model, one, target=7)
    assert answer.is_successful
    assert 0.1 < answer.distance < 4
    after, almost = predict(model, [answer.image, one + 0.99 * answer.difference])
    assert (after.top_class, almost.top_class) == (7, 1)
    assert answer.probability == pytest.approx(after.probabilities[7], abs=1e-4)
    # Its size is not just any: noise of the same length leaves the guess as it is.
    noise = np.random.default_rng(0).normal(size=one.shape)
    noisy = (one + answer.distance * noise / np.linalg.norm(noise)).astype(np.float32)
    assert predict(model, [noisy])[0].top_class == 1


@given(architecture=strategies.architectures(), data=st.data())
@settings(max_examples=25)
def test_counterfactual_properties_on_any_network(architecture: Architecture, data: st.DataObject) -> None:
    model = model_of(architecture, seed=1)
    image = np.random.default_rng(0).random(architecture.input.shape, dtype=np.float32)
    target = data.draw(st.none() | st.integers(0, architecture.classes - 1))
    kept, weights = image.copy(), {name: value.clone() for name, value in model.module.state_dict().items()}
    answers = list(find_counterfactual(model, image, target, steps=25))
    for _, answer in answers:
        assert answer.target == (predict(model, [image])[0].second_class if target is None else target)
        assert answer.image.shape == answer.difference.shape == image.shape
        assert answer.image.dtype == np.float32
        assert answer.image.min() >= 0
        assert answer.image.max() <= 1
        np.testing.assert_allclose(image + answer.difference, answer.image, atol=1e-6)
        assert answer.distance == pytest.approx(np.linalg.norm(answer.difference), rel=1e-4, abs=1e-6)
        after = predict(model, [answer.image])[0]
        assert answer.probability == pytest.approx(after.probabilities[answer.target], abs=1e-5)
        if answer.is_successful:
            assert after.top_class == answer.target
    assert answers[-1][1].distance == _last(model, image, target, steps=25).distance
    np.testing.assert_array_equal(image, kept)
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert not any(weight.requires_grad for weight in model.module.parameters())


@pytest.mark.parametrize("target", [-1, 2])
def test_a_class_that_there_is_not(target: int) -> None:
    with pytest.raises(PlaygroundError, match=f"no class {target}.*0 to 1"):
        find_counterfactual(_linear([[3, 4]], [0]), _row(0, 0), target)
