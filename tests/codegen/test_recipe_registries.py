"""Every registered optimizer, schedule and augmentation works in forms, engine and exported programs."""

import copy
import json
from typing import Any

import keras
import numpy
import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn
from torch.nn import functional

from playground.codegen.keras_model import to_keras
from playground.codegen.torch_scripts import generate_training_script
from playground.core.architecture import Architecture, InputShape
from playground.core.augmentations import AUGMENTATIONS
from playground.core.datasets import Dataset
from playground.core.form_schema import build_form_fields
from playground.core.layers import Conv2d, Flatten, Linear, Output
from playground.core.optimizers import OPTIMIZERS
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.recipe import Recipe
from playground.core.schedules import SCHEDULES
from playground.engine.data.augment import augment
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.learner import Learner
from playground.engine.training.optimizers import compute_lr, make_optimizer, update_optimizer
from playground.engine.training.optimizers.muon import Muon as EngineMuon
from playground.engine.training.optimizers.muon import orthogonalize
from tests.codegen.exported_code import executed
from tests.engine.helpers import PLAIN, assert_same_weights, tiny_images, tiny_recipe
from tests.narrowing import require

pytestmark = [
    # Keras's variables on torch do not have NumPy 2's array protocol.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

KINDS = [*OPTIMIZERS.values(), *SCHEDULES.values(), *AUGMENTATIONS.values()]
NETWORK = Architecture(
    input=InputShape(channels=2, height=8, width=6),
    classes=3,
    layers=(
        Conv2d(out_channels=4, activation="tanh"),
        Conv2d(out_channels=6, kernel_size=2, groups=2, activation="tanh"),
        Flatten(),
        Linear(out_features=7, activation="tanh"),
        Output(),
    ),
)
DATASET = Dataset("own:shapes", "Shapes", (2, 8, 6), ("a", "b", "c"), 20, 2, "")


def _export_torch(recipe: Recipe) -> dict[str, Any]:
    return executed(generate_training_script(NETWORK, recipe, dataset=DATASET))


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> list[Tensor]:
    for step in range(steps):
        images = torch.rand(6, 2, 8, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        functional.cross_entropy(model(images), torch.arange(6) % 3).backward()
        optimizer.step()
    return [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_kind_is_described_for_forms_and_json(kind: type[Any]) -> None:
    assert kind.title
    assert require(kind.__doc__).strip().splitlines()[0].endswith(".")
    for field in build_form_fields(kind):
        assert field.help.endswith("."), field.name
    assert kind.model_validate(json.loads(kind().model_dump_json())) == kind()


def _render_form(recipe: Recipe) -> AppTest:
    def show(recipe_json: str) -> None:
        from playground.core.recipe import Recipe
        from playground.ui.panels.recipe import render_recipe_form

        render_recipe_form(Recipe.from_json(recipe_json), on_change=lambda name, value: None, is_active=True)

    app = AppTest.from_function(show, args=(recipe.to_canonical_json(),)).run(timeout=60)
    assert not app.exception
    return app


def _find_widget(app: AppTest, key: str) -> Any:
    return next(
        widget for widgets in (app.number_input, app.checkbox, app.selectbox) for widget in widgets if widget.key == key
    )


def test_form_offers_every_registered_kind() -> None:
    app = _render_form(Recipe())
    assert app.selectbox(key="recipe-optimizer").options == [kind.title for kind in OPTIMIZERS.values()]
    assert app.selectbox(key="recipe-schedule").options == [kind.title for kind in SCHEDULES.values()]
    assert app.multiselect(key="recipe-augmentation").options == [kind.title for kind in AUGMENTATIONS.values()]


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_form_disables_fixed_fields_while_a_run_is_training(kind: type[Any]) -> None:
    app = _render_form(Recipe(optimizer=kind()))
    for field in build_form_fields(kind):
        widget = _find_widget(app, f"recipe-optimizer-{field.name}")
        assert widget.disabled == (field.name not in kind.list_live_fields()), field.name


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_takes_the_same_steps_in_the_exported_torch_program(kind: type[Any], weight_decay: float) -> None:
    recipe = Recipe(optimizer=kind(), lr=0.01, weight_decay=weight_decay, dataset=DATASET.name)
    model = build_model(NETWORK, seed=1)
    exported = copy.deepcopy(model)
    before = [weight.detach().clone() for weight in model.parameters()]
    expected = _train(model, make_optimizer(list(model.parameters()), recipe, model))
    for old, ours, theirs in zip(
        before, expected, _train(exported, _export_torch(recipe)["make_optimizer"](exported)), strict=True
    ):
        assert not torch.equal(old, ours)
        torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_takes_the_same_steps_in_the_exported_keras_program(
    kind: type[Any], weight_decay: float, tmp_path: Any
) -> None:
    from safetensors.torch import save_file

    recipe = Recipe(optimizer=kind(), lr=0.002, weight_decay=weight_decay, dataset=DATASET.name)
    module = build_model(NETWORK, seed=1)
    save_file(module.state_dict(), tmp_path / "first.safetensors")
    exported = executed(to_keras(NETWORK, recipe, dataset=DATASET))
    model = exported["make_model"](logits=True)
    exported["load_weights"](model, tmp_path / "first.safetensors")
    exported["compile_model"](model)
    for step in range(5):
        images = torch.rand(6, 2, 8, 6, generator=torch.Generator().manual_seed(step))
        model.train_on_batch(images.permute(0, 2, 3, 1).numpy(), numpy.arange(6) % 3)
    _train(module, make_optimizer(list(module.parameters()), recipe, module))
    save_file(module.state_dict(), tmp_path / "last.safetensors")
    actual = [weight.numpy() for weight in model.weights]
    exported["load_weights"](model, tmp_path / "last.safetensors")
    for ours, theirs in zip(actual, model.weights, strict=True):
        numpy.testing.assert_allclose(ours, theirs.numpy(), atol=5e-4)
    config = model.optimizer.get_config()
    assert type(model.optimizer).from_config(config).get_config() == config
    assert isinstance(model.optimizer, keras.optimizers.Optimizer)


@pytest.mark.parametrize("learner_class", [Learner, CapturedLearner], ids=["eager", "captured"])
@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_trains_transferred_weights_and_resumes_exactly(
    kind: type[Any], learner_class: type[Learner]
) -> None:
    recipe = tiny_recipe(optimizer=kind(), transferred_lr_scale=0.1, weight_decay=0.01)

    def create() -> Learner:
        model = build_model(PLAIN, seed=2)
        config = DeviceConfig(torch.device("cpu"), False)
        return learner_class(model, recipe, tiny_images(48), config, ("0.weight", "0.bias"))

    whole, first, second = create(), create(), create()
    for _ in range(6):
        whole.train_batch()
    for _ in range(3):
        first.train_batch()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(3):
        second.train_batch()
    assert_same_weights(whole.model.state_dict(), second.model.state_dict())


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_live_fields_reach_the_optimizer(kind: type[Any]) -> None:
    model = build_model(NETWORK, seed=1)
    optimizer = make_optimizer(list(model.parameters()), Recipe(optimizer=kind()), model)
    for field in build_form_fields(kind):
        if field.name not in kind.list_live_fields():
            continue
        value = not field.default if field.control == "flag" else (field.default + field.maximum) / 2
        before = dict(optimizer.param_groups[0])
        update_optimizer(optimizer, Recipe(optimizer=kind(**{field.name: value})))
        assert optimizer.param_groups[0] != before, field.name
        update_optimizer(optimizer, Recipe(optimizer=kind()))


@pytest.mark.parametrize("kind", SCHEDULES.values(), ids=SCHEDULES)
def test_schedule_is_the_same_in_both_exported_programs(kind: type[Any]) -> None:
    recipe = Recipe(schedule=kind(), lr=0.05, epochs=3, dataset=DATASET.name)
    script = _export_torch(recipe)
    optimizer = script["make_optimizer"](build_model(NETWORK))
    scheduler = script["make_scheduler"](optimizer, 4) if kind.torch_code else None
    exported = executed(to_keras(NETWORK, recipe, dataset=DATASET))
    model = exported["make_model"](logits=True)
    exported["compile_model"](model, *([4] if kind.torch_code else []))
    for step in range(12):
        expected = compute_lr(recipe, step, 4)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6)
        model.optimizer.iterations.assign(step)
        assert float(model.optimizer.learning_rate) == pytest.approx(expected, rel=1e-5, abs=1e-9)
        optimizer.step()
        if scheduler:
            scheduler.step()


@pytest.mark.parametrize("kind", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_augmentation_changes_images_in_the_engine_and_in_the_exported_program(kind: type[Any]) -> None:
    images = torch.rand(20, 2, 8, 6, generator=torch.Generator().manual_seed(0))
    item = kind()
    recipe = Recipe(augmentation=(item,), dataset=DATASET.name)
    for changed in (augment(images, (item,), seed=1, step=2), _export_torch(recipe)["augment"](images)):
        assert changed.shape == images.shape
        assert not torch.equal(changed, images)
    assert f"({item.kind}): {item.keras_remark}" in to_keras(NETWORK, recipe, dataset=DATASET)


# NAdam and Muon


@pytest.mark.parametrize("momentum_decay", [0.0, 0.004, 1.0])
def test_nadam_is_that_of_torch(momentum_decay: float) -> None:
    recipe = Recipe(optimizer=NAdam(beta1=0.8, beta2=0.9, momentum_decay=momentum_decay), lr=0.01, weight_decay=0.1)
    ours, theirs = build_model(NETWORK, seed=1), build_model(NETWORK, seed=1)
    optimizer = torch.optim.NAdam(
        theirs.parameters(), lr=0.01, betas=(0.8, 0.9), weight_decay=0.1, momentum_decay=momentum_decay
    )
    actual = _train(ours, make_optimizer(list(ours.parameters()), recipe))
    assert all(map(torch.equal, actual, _train(theirs, optimizer)))


def test_nadam_with_momentum_decay_1_is_that_of_keras() -> None:
    code = NAdam.keras_class_code
    assert code is not None
    exported = executed(f"import keras\n{code}")
    variables = [keras.Variable(numpy.ones(4, "float32")) for _ in range(2)]
    ours = exported["NAdam"](learning_rate=0.05, momentum_decay=1.0, epsilon=1e-7)
    theirs = keras.optimizers.Nadam(learning_rate=0.05)
    for step in range(6):
        gradient = numpy.cos(numpy.arange(4) + step).astype("float32")
        for optimizer, variable in zip((ours, theirs), variables, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    numpy.testing.assert_allclose(variables[0].numpy(), variables[1].numpy(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_newton_schulz_iteration_is_that_of_torch(shape: tuple[int, int]) -> None:
    """PyTorch computes it in bfloat16; ours takes the type of the matrix."""
    muon = pytest.importorskip("torch.optim._muon", reason="PyTorch has Muon since 2.9")
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = muon._zeropower_via_newtonschulz(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert torch.equal(orthogonalize(matrix.bfloat16(), 5), expected)
    torch.testing.assert_close(orthogonalize(matrix, 5), expected.float(), rtol=0, atol=0.05)
    singular_values = torch.linalg.svdvals(orthogonalize(matrix, 5))
    assert 0.6 < singular_values.min() <= singular_values.max() < 1.3


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_updates_hidden_matrices_as_torch_does_and_the_rest_as_adamw(
    nesterov: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.Tensor, "bfloat16", torch.Tensor.clone
    )  # PyTorch's Muon iterates in bfloat16, ours in float32
    layers = (Flatten(), *(Linear(out_features=9, activation="tanh") for _ in range(3)), Output())
    network = NETWORK.with_layers(layers)
    ours, theirs = build_model(network, seed=1), build_model(network, seed=1)
    kernels = [weight for weight in theirs.parameters() if weight.ndim == 2]
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}
    muon = torch.optim.Muon(kernels[1:-1], **options, nesterov=nesterov, adjust_lr_fn="match_rms_adamw")
    others = [weight for weight in theirs.parameters() if weight.ndim == 1] + [kernels[0], kernels[-1]]
    adamw = torch.optim.AdamW(others, **options, betas=(0.9, 0.95))
    recipe = Recipe(optimizer=Muon(nesterov=nesterov), **options)
    optimizer = make_optimizer(list(ours.parameters()), recipe, ours)
    for step in range(5):
        images = torch.rand(6, 2, 8, 6, generator=torch.Generator().manual_seed(step))
        for model, updates in ((ours, [optimizer]), (theirs, [muon, adamw])):
            model.zero_grad()
            functional.cross_entropy(model(images), torch.arange(6) % 3).backward()
            for update in updates:
                update.step()
    for actual, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert isinstance(optimizer, EngineMuon)


def test_muon_updates_a_convolution_kernel_as_the_matrix_of_its_rows() -> None:
    model = build_model(NETWORK, seed=1)
    kernel = model[2].weight
    assert isinstance(kernel, nn.Parameter)
    optimizer = make_optimizer(list(model.parameters()), Recipe(optimizer=Muon(momentum=0.0), lr=0.1), model)
    before = kernel.detach().clone()
    _train(model, optimizer, steps=1)
    assert kernel.grad is not None
    rows, columns = kernel.shape[0], kernel[0].numel()
    step = orthogonalize(kernel.grad.reshape(rows, columns), 5) * 0.2 * max(rows, columns) ** 0.5
    torch.testing.assert_close(kernel.detach(), before - 0.1 * step.view(kernel.shape))
