"""Transfer learning: frozen layers, the learning rate of transferred layers, matching of layers, exact resume."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.core.architecture import Architecture
from playground.core.events import Forked, Stop
from playground.core.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Output, Residual
from playground.core.optimizers.adagrad import Adagrad
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.optimizers.muon import Muon
from playground.core.optimizers.nadam import NAdam
from playground.core.optimizers.rmsprop import RmsProp
from playground.core.optimizers.sgd import Sgd
from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.health.probes import HealthProbes
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.runs.fork import fork_run
from playground.engine.runs.initial_state import InitialState, create_trainer, load_initial_state
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run, find_run
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import create_transfer_run, find_transferable_weights, get_last_snapshot_step
from playground.engine.runs.transfer_comparison import compare_transfer
from playground.engine.training.checks import check_training_config, check_training_data
from playground.engine.training.learner import Learner
from playground.engine.training.trainer import Trainer
from playground.errors import ArchitectureError, PlaygroundError, RecipeError, StorageError, TrainingError
from tests.engine.helpers import (
    AUGMENTATION,
    EVERY_STEP,
    PLAIN,
    RICH,
    FakeClock,
    Script,
    assert_same_weights,
    figures,
    make_trainer,
    net,
    play,
    record_run,
    through_bytes,
    tiny_images,
    tiny_recipe,
    tiny_splits,
)
from tests.run_events import events_of

CPU = DeviceConfig(torch.device("cpu"), is_bfloat16=False)
OPTIMIZERS = (
    Sgd(),
    Sgd(momentum=0.8, nesterov=True),
    Adam(),
    AdamW(),
    RmsProp(momentum=0.5),
    Adagrad(),
    NAdam(),
    Muon(),
)
INSIDE = net(
    Conv2d(out_channels=4, padding="same"),
    BatchNorm(trainable=False),
    Residual(
        layers=(
            Conv2d(out_channels=4, padding="same", trainable=False),
            BatchNorm(trainable=False),
            Activation(),
            Conv2d(out_channels=4, padding="same", activation="none"),
            BatchNorm(),
        )
    ),
    Flatten(),
    Output(),
)
FROZEN: dict[str, tuple[Architecture, tuple[str, ...]]] = {
    "convolution": (PLAIN.freeze_up_to(0), ("0.",)),
    "all but the output": (RICH.freeze_up_to(5), ("0.", "1.", "3.")),
    "inside of a block": (INSIDE, ("2.", "3.body.0.", "3.body.2.")),
    "the output alone": (PLAIN.replace_layer(4, Output(trainable=False)), ("6.",)),
}
TINY = get_architecture_preset("tiny").architecture
SHORT = Recipe(limit=320, batch_size=64, validation_size=100, precision="float32", device="cpu")


# Frozen layers


@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [*((optimizer, "float32") for optimizer in OPTIMIZERS), (Adam(), "bfloat16")],
    ids=lambda value: getattr(value, "kind", value),
)
@pytest.mark.parametrize("name", FROZEN)
def test_frozen_weights_and_statistics_stay_identical_and_all_others_change(
    name: str, optimizer: Any, precision: Any
) -> None:
    architecture, frozen = FROZEN[name]
    trainer = make_trainer(architecture, tiny_recipe(optimizer=optimizer, precision=precision, weight_decay=0.1))
    before = trainer.get_weights()
    assert play(trainer)[-1].kind == "run_ended"
    after = trainer.get_weights()
    assert {key for key in before if torch.equal(before[key], after[key])} == {
        key for key in before if key.startswith(frozen)
    }


def test_frozen_layers_have_no_optimizer_state() -> None:
    trainer = make_trainer(RICH.freeze_up_to(5), tiny_recipe(optimizer=Adam()))
    play(trainer)
    moments = trainer.create_checkpoint()["optimizer"]["state"]
    assert [state["exp_avg"].numel() for state in moments.values()] == [6 * 3 + 3]


def test_network_without_trainable_layers_is_rejected_with_a_fix() -> None:
    everything = PLAIN.freeze_up_to(4)
    checks = (
        lambda: make_trainer(everything),
        lambda: check_training_data(everything, tiny_recipe(), tiny_splits()),
        lambda: check_training_config(TINY.freeze_up_to(len(TINY.layers)), SHORT),
    )
    for check in checks:
        with pytest.raises(ArchitectureError, match="no trainable weights") as caught:
            check()
        assert "trainable" in caught.value.fix


def test_only_trainable_batch_norm_rejects_a_batch_size_of_one() -> None:
    recipe = tiny_recipe(batch_size=1, epochs=1)
    with pytest.raises(RecipeError, match="Batch norm"):
        make_trainer(RICH, recipe)
    with pytest.raises(RecipeError, match="Batch norm"):
        make_trainer(RICH.freeze_up_to(1), recipe)
    assert play(make_trainer(RICH.freeze_up_to(3), recipe, splits=tiny_splits(8)))[-1].kind == "run_ended"


def test_health_probes_skip_frozen_layers() -> None:
    def list_probed_layers(architecture: Architecture) -> tuple[list[str], list[str]]:
        model = make_trainer(architecture, tiny_recipe(device="cpu")).model
        learner = Learner(model, tiny_recipe(), tiny_images(48), CPU)
        learner.train_batch()
        probes = HealthProbes(model, architecture)
        with probes.record_activations():
            model.eval()(scale_pixels(tiny_images(8).images))
        return [one.layer_name for one in probes.count_dead_channels()], [
            one.layer_name for one in probes.compute_gradient_norms()
        ]

    first, fourth, output = "layer 1 (Conv)", "layer 4 (Linear)", "layer 5 (Output)"
    assert list_probed_layers(PLAIN) == ([first, fourth], [first, fourth, output])
    assert list_probed_layers(PLAIN.freeze_up_to(0)) == ([fourth], [fourth, output])
    assert list_probed_layers(PLAIN.freeze_up_to(3)) == ([], [output])
    # A frozen layer above a trainable one can become dead, since its input changes.
    middle = PLAIN.replace_layer(3, PLAIN.layers[3].replace(trainable=False))
    assert list_probed_layers(middle) == ([first, fourth], [first, output])


# Learning rates


SMOOTH = net(Conv2d(out_channels=4, activation="tanh"), Flatten(), Linear(out_features=8, activation="tanh"), Output())
TORCH_OPTIMIZERS = (
    (Sgd(momentum=0.9), lambda groups: torch.optim.SGD(groups, lr=1e-2, momentum=0.9, weight_decay=0.01)),
    (Adam(), lambda groups: torch.optim.Adam(groups, lr=1e-2, weight_decay=0.01)),
    (AdamW(), lambda groups: torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.01)),
    (RmsProp(), lambda groups: torch.optim.RMSprop(groups, lr=1e-2, weight_decay=0.01)),
    (Adagrad(), lambda groups: torch.optim.Adagrad(groups, lr=1e-2, weight_decay=0.01)),
    (NAdam(), lambda groups: torch.optim.NAdam(groups, lr=1e-2, weight_decay=0.01)),
)


def as_doubles(images: Tensor) -> Tensor:
    return scale_pixels(images).double()


def train_with_torch(model: nn.Sequential, images: LabeledImages, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Train with a plain PyTorch loop; each batch contains all images."""
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(as_doubles(images.images)), images.labels).backward()
        optimizer.step()


@pytest.mark.parametrize("transferred", [("0.",), ("3.",), ("0.", "3.", "5.")], ids=str)
@pytest.mark.parametrize(
    ("optimizer", "make_torch_optimizer"), TORCH_OPTIMIZERS, ids=lambda value: getattr(value, "kind", "")
)
def test_transferred_lr_scale_equals_torch_parameter_groups(
    optimizer: Any, make_torch_optimizer: Any, transferred: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In float32 the summation order decides the sign of gradients near zero, which Adam scales up like all others.
    monkeypatch.setattr("playground.engine.training.learner.scale_pixels", as_doubles)
    images = tiny_images(48)
    recipe = tiny_recipe(optimizer=optimizer, weight_decay=0.01, transferred_lr_scale=0.1, batch_size=48, epochs=6)
    model = build_model(SMOOTH, seed=1).double()
    plain = copy.deepcopy(model)
    names = [name for name, _ in model.named_parameters() if name.startswith(transferred)]
    learner = Learner(model, recipe, images, CPU, names)
    while not learner.is_finished:
        assert learner.train_batch().lr == recipe.lr
    transferred_parameters = [weight for name, weight in plain.named_parameters() if name in names]
    new_parameters = [weight for name, weight in plain.named_parameters() if name not in names]
    groups = [{"params": transferred_parameters, "lr": 1e-3}, *([{"params": new_parameters}] if new_parameters else [])]
    train_with_torch(plain, images, make_torch_optimizer(groups), steps=6)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-9)


def test_lr_scale_of_zero_keeps_transferred_weights_and_trains_new_ones() -> None:
    recipe = tiny_recipe(transferred_lr_scale=0.0, weight_decay=0.1, optimizer=AdamW())
    trainer = make_trainer(PLAIN, recipe, transferred_names={"0.weight", "0.bias"})
    before = trainer.get_weights()
    play(trainer)
    after = trainer.get_weights()
    assert {key for key in before if torch.equal(before[key], after[key])} == {"0.weight", "0.bias"}


def test_lr_scale_of_one_equals_training_without_transfer() -> None:
    weights = []
    for names in ((), ("0.weight", "0.bias")):
        trainer = make_trainer(PLAIN, tiny_recipe(optimizer=Adam()), transferred_names=names)
        play(trainer)
        weights.append(trainer.get_weights())
    assert_same_weights(*weights)


# Exact resume


def make_initialized_trainer(architecture: Architecture, recipe: Recipe, initial_state: InitialState) -> Trainer:
    return create_trainer(
        architecture,
        recipe,
        initial_state,
        splits=tiny_splits(),
        evaluation_schedule=EVERY_STEP,
        clock=FakeClock(0.001),
    )


@pytest.mark.parametrize(
    ("optimizer", "frozen_up_to"),
    [*((optimizer, 1) for optimizer in OPTIMIZERS), (Adam(), -1), (Adam(), 3)],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_resume_of_a_transfer_run_gives_identical_weights(optimizer: Any, frozen_up_to: int) -> None:
    architecture = RICH.freeze_up_to(frozen_up_to)
    weights = make_trainer(RICH, tiny_recipe(seed=5)).get_weights()
    initial_state = InitialState({name: value for name, value in weights.items() if name[0] in "013"})
    recipe = tiny_recipe(
        optimizer=optimizer, transferred_lr_scale=0.2, augmentation=AUGMENTATION, schedule=OneCycle(), seed=7
    )
    whole = make_initialized_trainer(architecture, recipe, initial_state)
    expected = figures(play(whole))
    trainer, stream = make_initialized_trainer(architecture, recipe, initial_state), []
    for step in (1, 5, 6, 11):
        stream += play(trainer, Script({step: [Stop()]}))
        checkpoint = through_bytes(trainer.create_checkpoint())
        trainer = make_initialized_trainer(architecture, recipe, initial_state)
        trainer.restore(checkpoint)
    assert figures([*stream, *play(trainer)]) == expected
    assert_same_weights(trainer.get_weights(), whole.get_weights())


def test_weights_that_are_not_transferred_are_initialized_from_the_seed() -> None:
    drawn, other = (make_trainer(PLAIN, tiny_recipe(seed=seed)).get_weights() for seed in (1, 2))
    found = make_initialized_trainer(
        PLAIN, tiny_recipe(seed=1), InitialState({"0.weight": other["0.weight"]})
    ).get_weights()
    assert_same_weights(found, drawn | {"0.weight": other["0.weight"]})


@pytest.mark.parametrize(("name", "shape"), [("0.weight", (4, 1, 5, 5)), ("0.scale", (4,)), ("99.weight", (1,))])
def test_weights_with_another_name_or_shape_are_rejected(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(StorageError, match="do not fit") as caught:
        make_initialized_trainer(PLAIN, tiny_recipe(), InitialState({name: torch.zeros(shape)}))
    assert name in caught.value.expected


# Matching of layers


@pytest.fixture
def parent(home: Path) -> Run:
    return trained(create_run(TINY, SHORT.replace(lr=5e-3), name="Parent"))


def trained(run: Run) -> Run:
    record_run(run, create_trainer(run.record.architecture, run.record.recipe, load_initial_state(run)))
    return run


def create_parent(architecture: Architecture, weights: dict[str, Tensor] | None = None) -> Run:
    """Create a run with weights, as if it had been trained."""
    from playground.engine.runs.run_files import serialize_snapshot

    found = weights or {name: value.clone() for name, value in build_model(architecture, seed=9).state_dict().items()}
    run = create_run(architecture, SHORT)
    run.get_snapshot_path(4).write_bytes(serialize_snapshot(found))
    return run


def match_layers(parent: Architecture, new: Architecture, dataset: str = "mnist") -> tuple[set[str], tuple[int, ...]]:
    weights, taken = find_transferable_weights(create_parent(parent), 4, new, dataset)
    for name, value in weights.items():
        assert value.shape == build_model(new).state_dict()[name].shape
    return set(weights), taken


DEEP = net(
    Conv2d(out_channels=3, padding="same", activation="none"),
    BatchNorm(),
    Activation(),
    MaxPool2d(),
    Residual(layers=(Conv2d(out_channels=5, padding="same"), Dropout(p=0.1))),
    Dropout(p=0.5),
    Flatten(),
    Linear(out_features=6),
    Output(),
    classes=10,
    size=12,
)
HEAD = {"8.weight", "8.bias", "10.weight", "10.bias"}
BODY = {name for name in build_model(DEEP).state_dict() if name not in HEAD}


def test_same_network_with_same_classes_transfers_all_weights(home: Path) -> None:
    assert match_layers(DEEP, DEEP) == (BODY | HEAD, (0, 1, 4, 7, 8))
    assert match_layers(DEEP, DEEP.freeze_up_to(4)) == (BODY | HEAD, (0, 1, 4, 7, 8))


def test_output_layer_is_not_transferred_to_other_classes(home: Path) -> None:
    with_head = HEAD - {"10.weight", "10.bias"}
    assert match_layers(DEEP, DEEP.with_new_head(4)) == (BODY | with_head, (0, 1, 4, 7))
    assert match_layers(DEEP, DEEP, "fashion-mnist") == (BODY | with_head, (0, 1, 4, 7))
    assert match_layers(DEEP, DEEP, "mnist+pen")[1] == (0, 1, 4, 7, 8)


def test_dropout_does_not_affect_transferable_weights(home: Path) -> None:
    without = DEEP.with_dropout_rates((0.9, 0.1)).replace_layer(5)
    names = {"7.weight", "7.bias", "9.weight", "9.bias"}
    assert match_layers(DEEP, without) == (BODY | names, (0, 1, 4, 6, 7))


def test_layers_are_transferred_up_to_the_first_difference(home: Path) -> None:
    first = {"0.weight", "0.bias"}
    assert match_layers(DEEP, DEEP.toggle_layer(1)) == (first, (0,))
    assert match_layers(DEEP, DEEP.replace_layer(1, BatchNorm(eps=1e-3))) == (first, (0,))
    pooled_otherwise = DEEP.replace_layer(3, MaxPool2d(kernel_size=3))
    assert match_layers(DEEP, pooled_otherwise)[1] == (0, 1)
    assert match_layers(DEEP, DEEP.replace_layer(7, Linear(out_features=7)))[1] == (0, 1, 4)


def test_other_image_sizes_transfer_size_independent_layers(home: Path) -> None:
    assert match_layers(DEEP, DEEP.adapt_to_images((1, 20, 16), 10)) == (BODY, (0, 1, 4))
    assert match_layers(DEEP, DEEP.adapt_to_images((3, 12, 12), 10)) == (set(), ())


def test_transferred_values_are_those_of_the_parent_under_new_names(home: Path) -> None:
    run = create_parent(DEEP)
    new = DEEP.insert_layer(0, Dropout(p=0.2))
    weights, _ = find_transferable_weights(run, 4, new, "mnist")
    before = run.load_snapshot(4)
    assert_same_weights(
        weights, {f"{int(index) + 1}.{rest}": before[f"{index}.{rest}"] for index, rest in map(_split, before)}
    )


def _split(name: str) -> tuple[str, str]:
    index, rest = name.split(".", 1)
    return index, rest


# Runs


def test_transfer_run_starts_from_its_parents_weights_and_records_it(parent: Run) -> None:
    new = TINY.freeze_up_to(0)
    run = create_transfer_run(parent, new, SHORT.replace(seed=3), owner="ann")
    assert (run.record.name, run.record.owner) == ("Parent, transferred", "ann")
    assert (run.record.parent, run.record.parent_step) == (parent.id, get_last_snapshot_step(parent))
    assert run.record.architecture.digest == new.digest
    assert find_run("latest").id == run.id
    trained(run)
    assert_same_weights(run.load_snapshot(0), parent.load_snapshot(get_last_snapshot_step(parent)))
    assert torch.equal(run.load_snapshot(get_last_snapshot_step(run))["0.weight"], run.load_snapshot(0)["0.weight"])
    early = create_transfer_run(parent, new, SHORT, step=1, name="Early")
    assert (early.record.name, early.record.parent_step) == ("Early", 1)
    assert_same_weights(load_initial_state(early).weights, parent.load_snapshot(1))


def test_replay_and_forks_of_a_transferred_run_are_exact(parent: Run) -> None:
    new = TINY.freeze_up_to(0).replace_layer(4)
    run = trained(create_transfer_run(parent, new, SHORT.replace(transferred_lr_scale=0.3)))
    replay = Replay(run)
    list(replay.run())
    assert len(replay.snapshot_matches) == len(run.list_snapshot_steps()) > 2
    assert all(replay.snapshot_matches.values())
    step = run.list_checkpoint_steps()[0]
    same = trained(fork_run(run, step, run.record.recipe))
    assert_same_weights(
        same.load_snapshot(get_last_snapshot_step(same)), run.load_snapshot(get_last_snapshot_step(run))
    )
    other = fork_run(run, step, run.record.recipe.replace(transferred_lr_scale=1.0))
    (forked,) = events_of(other.read_events(), Forked)
    assert forked.changes == {"transferred_lr_scale": (0.3, 1.0)}
    trained(other)
    assert not torch.equal(
        other.load_snapshot(get_last_snapshot_step(other))["3.weight"],
        run.load_snapshot(get_last_snapshot_step(run))["3.weight"],
    )


def test_parent_without_weights_is_rejected(home: Path) -> None:
    with pytest.raises(StorageError, match="no weights") as caught:
        create_transfer_run(create_run(TINY, SHORT), TINY, SHORT)
    assert caught.value.fix


def test_transfer_without_matching_layers_names_both_first_layers(parent: Run) -> None:
    other = get_architecture_preset("guide").architecture
    with pytest.raises(ArchitectureError, match="Nothing of run") as caught:
        create_transfer_run(parent, other, SHORT)
    assert TINY.layers[0].format_arguments() in caught.value.what
    assert "32 · 3×3 · ReLU on 1×28×28" in caught.value.what


def test_frozen_layer_without_transferred_weights_is_rejected(parent: Run) -> None:
    wider = TINY.replace_layer(2, TINY.layers[2].replace(out_channels=13, trainable=False))
    with pytest.raises(ArchitectureError, match=r"Layer 3 .* is frozen"):
        create_transfer_run(parent, wider, SHORT)
    assert len(list(parent.folder.parent.iterdir())) == 1


def test_lr_scale_of_zero_for_all_trainable_layers_is_rejected(parent: Run) -> None:
    zero_scale = SHORT.replace(transferred_lr_scale=0.0)
    with pytest.raises(ArchitectureError, match="nothing would learn"):
        create_transfer_run(parent, TINY, zero_scale)
    with pytest.raises(ArchitectureError, match="nothing would learn"):
        create_transfer_run(parent, TINY.freeze_up_to(2), zero_scale)
    new = TINY.with_new_head(10)
    wider = new.replace_layer(4, new.layers[4].replace(out_channels=24))
    before = parent.load_snapshot(get_last_snapshot_step(parent))
    run = trained(create_transfer_run(parent, wider, zero_scale))
    after = run.load_snapshot(get_last_snapshot_step(run))
    assert torch.equal(after["0.weight"], before["0.weight"])
    transferred = load_initial_state(run).weights.keys()
    assert transferred
    start = run.load_snapshot(0)
    for name, value in after.items():
        assert torch.equal(value, start[name]) == (name in transferred), name


def test_output_for_classes_of_an_unknown_dataset_is_not_transferred(home: Path) -> None:
    net = Architecture(layers=(Flatten(), Output()), classes=2)
    run = create_run(net, SHORT.replace(dataset="own:never-was-here"))
    labels = torch.tensor([0, 1] * 20)
    images = LabeledImages(torch.zeros(40, 1, 28, 28, dtype=torch.uint8), labels)
    name = save_custom_dataset("Other", CustomImages(images, None, ("0", "1"), (), 0))
    from playground.engine.runs.run_files import serialize_snapshot

    run.get_snapshot_path(4).write_bytes(serialize_snapshot(dict(build_model(net, seed=9).state_dict())))
    assert find_transferable_weights(run, 4, net, name) == ({}, ())


def test_frozen_layer_in_a_block_without_transferred_weights_is_rejected(parent: Run) -> None:
    block = Residual(layers=(Conv2d(out_channels=4, padding="same", trainable=False),))
    with pytest.raises(ArchitectureError, match="is frozen"):
        create_transfer_run(parent, TINY.insert_layer(2, block), SHORT)


# Transfer comparison


def create_parity_dataset(home: Path) -> str:
    """Create a dataset of MNIST images with the classes even and odd, which the parent does not have."""
    from playground.engine.data.splits import load_first_train_images

    images = load_first_train_images("mnist", 600)
    own = CustomImages(LabeledImages(images.images, images.labels % 2), None, ("even", "odd"), (), 0)
    return save_custom_dataset("Parity", own)


def test_transfer_improves_accuracy_on_new_classes_with_few_images(home: Path) -> None:
    before = trained(create_run(TINY, SHORT.replace(limit=6400, lr=5e-3)))
    recipe = SHORT.replace(
        dataset=create_parity_dataset(home), limit=40, validation_size=50, batch_size=10, epochs=10, lr=2e-3
    )
    new = TINY.with_new_head(2).freeze_up_to(3)
    comparison = compare_transfer(before, new, recipe)
    assert comparison.accuracy_gain == comparison.transfer_accuracy - comparison.scratch_accuracy > 0.03
    assert comparison == compare_transfer(before, new, recipe)
    assert list((home / "runs").iterdir()) == [before.folder]


def test_transfer_comparison_reports_why_training_fails(parent: Run) -> None:
    with pytest.raises(TrainingError, match="loss") as caught:
        compare_transfer(parent, TINY, SHORT.replace(lr=1000.0, optimizer=Sgd().model_dump()))
    assert isinstance(caught.value, PlaygroundError)
    assert caught.value.fix
