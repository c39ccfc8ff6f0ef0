"""Architecture: JSON, digest, layer ids, edits, and errors for invalid JSON."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Output, Residual
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.errors import ArchitectureError, SchemaVersionError
from tests import strategies
from tests.narrowing import require_type

CONTRACT = (
    '{"schema": 1, "input": {"channels": 1, "height": 28, "width": 28}, "classes": 10, "layers": ['
    '{"kind": "conv2d", "out_channels": 32, "kernel_size": 3, "stride": 1, "padding": 0, "activation": "relu"}, '
    '{"kind": "max_pool2d", "kernel_size": 2}, {"kind": "flatten"}, '
    '{"kind": "linear", "out_features": 64, "activation": "relu"}, {"kind": "output"}]}'
)


def test_documented_json_is_parsed() -> None:
    read = Architecture.from_json(CONTRACT)
    assert read == Architecture(
        layers=(Conv2d(out_channels=32), MaxPool2d(), Flatten(), Linear(out_features=64), Output())
    )
    assert read.input.shape == (1, 28, 28)
    written = json.loads(read.to_canonical_json())
    for mine, theirs in zip(written["layers"], json.loads(CONTRACT)["layers"], strict=True):
        assert theirs.items() <= mine.items()
    assert Architecture.from_json(CONTRACT.encode()) == Architecture.from_json(json.loads(CONTRACT)) == read


@given(architecture=strategies.any_architectures(most=None))
@settings(max_examples=150)
def test_json_round_trip(architecture: Architecture) -> None:
    again = Architecture.from_json(architecture.to_canonical_json())
    assert again.digest == architecture.digest
    assert again.to_canonical_json() == architecture.to_canonical_json()
    indented = json.dumps(json.loads(architecture.to_canonical_json()), indent=3)
    assert Architecture.from_json(indented).digest == architecture.digest
    assert '"id"' not in architecture.to_canonical_json()


@given(first=strategies.any_architectures(), second=strategies.any_architectures())
def test_digests_are_equal_for_equal_architectures_only(first: Architecture, second: Architecture) -> None:
    assert (first.digest == second.digest) == (first.to_canonical_json() == second.to_canonical_json())


@given(architecture=strategies.any_architectures(), data=st.data())
def test_ids_do_not_enter_the_digest(architecture: Architecture, data: st.DataObject) -> None:
    letters = st.text("abcdefgh0123456789_-", min_size=1, max_size=40)
    count = len(architecture.layers)
    names = data.draw(st.lists(letters, min_size=count, max_size=count, unique=True))
    named = [layer.replace(id=name) for layer, name in zip(architecture.layers, names, strict=True)]
    renamed = architecture.with_layers(named)
    assert [layer.id for layer in renamed.layers] == names
    assert renamed.digest == architecture.digest


def test_no_two_presets_are_the_same_network_with_the_same_recipe() -> None:
    """Common mistakes may use the guide's network with another recipe."""
    pairs = {
        (preset.architecture.digest, preset.recipe and preset.recipe.digest) for preset in ARCHITECTURE_PRESETS.values()
    }
    assert len(pairs) == len(ARCHITECTURE_PRESETS) >= 25
    for preset in ARCHITECTURE_PRESETS.values():
        assert Architecture.from_json(preset.architecture.to_canonical_json()).digest == preset.architecture.digest


def test_networks_without_frozen_layers_keep_their_digests() -> None:
    """Run folders and links contain digests, so new fields must not change them."""
    assert {name: ARCHITECTURE_PRESETS[name].architecture.digest for name in _DIGESTS} == _DIGESTS


_DIGESTS = {
    "guide": "dd1a88bac9c0",
    "lenet5": "f7370a1a51fc",
    "dash": "a2cd57d89c81",
    "tiny": "3ba8434e0bb0",
    "normalized": "a70a2b44eaa6",
    "residual": "4645f71899ba",
    "separable": "6e580d4796e8",
    "vgg": "25cb5d57fb86",
}


@given(architecture=strategies.frozen_architectures(), data=st.data())
@settings(max_examples=40)
def test_freeze_up_to_freezes_the_layers_with_weights_up_to_the_index(
    architecture: Architecture, data: st.DataObject
) -> None:
    index = data.draw(st.integers(-1, len(architecture.layers)))
    actual = architecture.freeze_up_to(index)
    assert [layer.id for layer in actual.layers] == [layer.id for layer in architecture.layers]
    for place, layer in enumerate(actual.layers):
        assert layer.trainable == (place > index or not layer.has_weights)
        assert all(inner.trainable for inner in getattr(layer, "layers", ()))
    assert "trainable" not in actual.freeze_up_to(-1).to_canonical_json()
    assert Architecture.from_json(actual.to_canonical_json()).digest == actual.digest


def test_new_head_is_trainable_and_has_the_new_classes() -> None:
    frozen = Architecture(classes=2, layers=(Flatten(), Linear(), Output(activation="sigmoid", units=1))).freeze_up_to(
        9
    )
    head = frozen.with_new_head(5)
    assert (head.classes, head.layers[-1]) == (5, Output(id="output-1"))
    assert head.layers[:-1] == frozen.layers[:-1]
    assert frozen.with_new_head(2).layers[-1] == Output(activation="sigmoid", id="output-1")
    assert frozen.adapt_to_images((3, 32, 32), 5).layers == head.layers
    assert frozen.adapt_to_images((3, 32, 32), 2).layers == frozen.layers


def _ids(architecture: Architecture) -> list[str]:
    return [layer.id for layer in architecture.layers]


@given(architecture=strategies.any_architectures(), data=st.data())
@settings(max_examples=150)
def test_edits_keep_ids(architecture: Architecture, data: st.DataObject) -> None:
    """After any edits, ids are unique, remaining layers keep their ids, and the original is unchanged."""
    for _ in range(data.draw(st.integers(1, 6))):
        before, digest = _ids(architecture), architecture.digest
        count = len(before)
        edit = data.draw(st.sampled_from(("insert", "remove", "move", "duplicate", "toggle", "replace")))
        if edit == "insert" or not count:
            index = data.draw(st.integers(0, count))
            layer = data.draw(strategies.layers())
            edited = architecture.insert_layer(index, layer)
            expected = [*before[:index], None, *before[index:]]
        else:
            index = data.draw(st.integers(0, count - 1))
            edited, expected = _edited(architecture, edit, index, data)
        after = _ids(edited)
        assert len(set(after)) == len(after) == len(expected)
        assert all(after)
        assert all(wanted in (None, actual) for wanted, actual in zip(expected, after, strict=True))
        assert (_ids(architecture), architecture.digest) == (before, digest)
        for place, identity in enumerate(after):
            assert edited.find_layer_index(identity) == place
        architecture = edited


def _edited(
    architecture: Architecture, edit: str, index: int, data: st.DataObject
) -> tuple[Architecture, list[str | None]]:
    """The edited architecture and its expected ids; None for new layers."""
    before: list[str | None] = [*_ids(architecture)]
    if edit == "remove":
        return architecture.replace_layer(index), [*before[:index], *before[index + 1 :]]
    if edit == "move":
        offset = data.draw(st.integers(-9, 9))
        identity = before.pop(index)
        before.insert(max(0, min(len(before), index + offset)), identity)
        return architecture.move_layer(index, offset), before
    if edit == "duplicate":
        copy = architecture.duplicate_layer(index)
        assert copy.layers[index + 1].model_dump() == architecture.layers[index].model_dump()
        return copy, [*before[: index + 1], None, *before[index + 1 :]]
    if edit == "toggle":
        toggled = architecture.toggle_layer(index)
        assert toggled.layers[index].enabled is not architecture.layers[index].enabled
        assert toggled.toggle_layer(index) == architecture
        return toggled, before
    return architecture.replace_layer(index, Flatten(), Flatten()), [*before[:index], None, None, *before[index + 1 :]]


def test_adding_a_layer_to_a_full_network_raises_architecture_error() -> None:
    """A 65th layer raises ArchitectureError, not pydantic's ValidationError."""
    full = Architecture(layers=(Flatten(),) * 64)
    edits: list[Callable[[], Architecture]] = [
        lambda: full.insert_layer(0, Flatten()),
        lambda: full.duplicate_layer(3),
        lambda: full.replace_layer(3, Flatten(), Flatten()),
    ]
    for edit in edits:
        with pytest.raises(ArchitectureError, match="64"):
            edit()


def test_unknown_layer_id_raises_architecture_error() -> None:
    with pytest.raises(ArchitectureError, match="no layer 'conv2d-9'"):
        Architecture.from_json(CONTRACT).find_layer_index("conv2d-9")


@pytest.mark.parametrize("schema", [2, 3, 10**6])
def test_newer_schema_raises_schema_version_error(schema: int) -> None:
    with pytest.raises(SchemaVersionError, match=f"schema {schema}"):
        Architecture.from_json(json.dumps({"schema": schema, "something": "new"}))


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        pytest.param(b"\xff\xfe\x00", "not JSON", id="not UTF-8"),
        ("[" * 100_000, "not JSON"),
        ('{"classes": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "list"),
        ("null", "NoneType"),
        ('"text"', "str"),
        ({"schema": 0}, "schema"),
        ({"schema": "1"}, "schema"),
        ({"schema": None}, "schema"),
        ({"classes": 1}, "classes"),
        ({"classes": "ten"}, "classes"),
        ({"classes": 2.5}, "classes"),
        ({"input": {"channels": 5}}, "input.channels"),
        ({"input": {"height": 0}}, "input.height"),
        ({"input": [1, 28, 28]}, "input"),
        ({"layers": "flatten"}, "layers"),
        ({"layers": {"kind": "flatten"}}, "layers"),
        ({"layers": None}, "layers"),
        ({"layers": ["flatten"]}, "layers.0"),
        ({"layers": [None]}, "layers.0"),
        ({"layers": [{"kind": "flatten"}, {}]}, "layers.1"),
        ({"layers": [{"kind": "conv3d"}]}, "conv3d"),
        ({"layers": [{"kind": ["conv2d"]}]}, "layers.0"),
        ({"layers": [{"kind": "conv2d", "out_channels": 0}]}, "out_channels"),
        ({"layers": [{"kind": "conv2d", "out_channels": 513}]}, "out_channels"),
        ({"layers": [{"kind": "conv2d", "padding": "full"}]}, "padding"),
        ({"layers": [{"kind": "conv2d", "filters": 3}]}, "filters"),
        ({"layers": [{"kind": "conv2d", "activation": "swish"}]}, "activation"),
        ({"layers": [{"kind": "dropout", "p": float("nan")}]}, r"dropout\.p"),
        ({"layers": [{"kind": "dropout", "p": float("inf")}]}, r"dropout\.p"),
        ({"layers": [{"kind": "linear", "id": "A b<script>"}]}, "id"),
        ({"layers": [{"kind": "linear", "id": 7}]}, "id"),
        ({"layers": [{"kind": "linear", "id": ["x"]}]}, "id"),
        ({"layers": [{"kind": "linear", "id": {"x": 1}}]}, "id"),
        ({"layers": [{"kind": "residual", "layers": []}]}, "layers"),
        ({"layers": [{"kind": "residual", "layers": [{"kind": "flatten"}]}]}, "layers"),
        ({"layers": [{"kind": "residual", "layers": [{"kind": "residual"}]}]}, "layers"),
        ({"layers": [{"kind": "flatten"}] * 65}, "64"),
        ({"layers": [], "colour": "red"}, "colour"),
    ],
)
def test_invalid_json_raises_architecture_error_naming_the_field(source: Any, named: str) -> None:
    with pytest.raises(ArchitectureError, match=named) as caught:
        Architecture.from_json(source)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 1500


_words = st.sampled_from(["schema", "input", "classes", "layers", "kind", "id", "enabled", "out_channels", "padding"])
_kinds = st.sampled_from(["conv2d", "residual", "output", "flatten", "linear", "batch_norm"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _kinds,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


def _read_or_error(text: str) -> Architecture | ArchitectureError | SchemaVersionError:
    try:
        return Architecture.from_json(text)
    except (ArchitectureError, SchemaVersionError) as problem:
        return problem


@given(value=_json, layer=st.dictionaries(_words, _json, max_size=4))
@settings(max_examples=150)
def test_any_json_gives_an_architecture_or_a_printable_error(value: Any, layer: dict[str, Any]) -> None:
    """Any JSON gives an Architecture or a printable PlaygroundError."""
    for data in (value, {"layers": value}, {"layers": [layer]}, {"layers": [{"kind": "linear"} | layer]}):
        read = _read_or_error(json.dumps(data))
        if isinstance(read, Architecture):
            assert Architecture.from_json(read.to_canonical_json()).digest == read.digest
        else:
            assert str(read).encode()


def test_error_message_with_a_lone_surrogate_can_be_encoded() -> None:
    """A lone surrogate is valid JSON, but cannot be encoded."""
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_json('{"\\ud800": 1}')
    assert str(caught.value).encode()


def test_error_message_for_a_huge_file_is_short() -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_json({f"key{number}" * 5: "x" * 10_000 for number in range(1000)})
    assert len(str(caught.value)) < 2000
    assert "995 more" in str(caught.value)


def _with_dropouts() -> Architecture:
    """Five dropout layers; the second is disabled, the fourth is in a disabled block."""
    conv = Conv2d(out_channels=4, padding="same")
    return Architecture(
        layers=(
            Dropout(p=0.1),
            Residual(layers=(conv, Dropout(p=0.2, enabled=False), Dropout(p=0.3))),
            Residual(layers=(conv, Dropout(p=0.4)), enabled=False),
            Flatten(),
            Linear(),
            Dropout(p=0.5),
            Output(),
        )
    )


def test_dropout_rates_contain_enabled_layers_only() -> None:
    assert _with_dropouts().dropout_rates == (0.1, 0.3, 0.5)
    assert Architecture().dropout_rates == ()
    assert Architecture(layers=(Flatten(), Output())).with_dropout_rates(()).dropout_rates == ()


def test_with_dropout_rates_changes_only_the_rates() -> None:
    before = _with_dropouts()
    after = before.with_dropout_rates([0.0, 0.95, 0.25])
    assert after.dropout_rates == (0.0, 0.95, 0.25)
    assert before.dropout_rates == (0.1, 0.3, 0.5)
    assert [layer.id for layer in after.layers] == [layer.id for layer in before.layers]
    first, second = (require_type(layer, Residual).layers for layer in after.layers[1:3])
    assert [layer.p for layer in (*first, *second) if isinstance(layer, Dropout)] == [0.2, 0.95, 0.4]
    assert after.with_dropout_rates(before.dropout_rates) == before
    assert after.with_dropout_rates(before.dropout_rates).digest == before.digest != after.digest


@given(architecture=strategies.any_architectures(), data=st.data())
@settings(max_examples=100)
def test_with_dropout_rates_sets_the_rates_that_are_read(architecture: Architecture, data: st.DataObject) -> None:
    count = len(architecture.dropout_rates)
    rates = data.draw(st.lists(st.floats(0, 0.95), min_size=count, max_size=count).map(tuple))
    changed = architecture.with_dropout_rates(rates)
    assert changed.dropout_rates == rates
    assert changed.with_dropout_rates(architecture.dropout_rates) == architecture
    assert [layer.kind for layer in changed.layers] == [layer.kind for layer in architecture.layers]


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_wrong_number_of_dropout_rates_is_rejected(count: int) -> None:
    with pytest.raises(ArchitectureError, match="do not match the network") as caught:
        _with_dropouts().with_dropout_rates([0.1] * count)
    assert "has 3" in caught.value.expected


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("rate", [-0.01, 0.96, 1, float("nan"), float("inf"), None, "much", [0.5], {}], ids=str)
def test_dropout_rates_out_of_bounds_are_rejected(rate: Any, place: int) -> None:
    rates: list[Any] = [0.1, 0.2, 0.3]
    rates[place] = rate
    with pytest.raises(ArchitectureError, match="Dropout cannot be changed: p"):
        _with_dropouts().with_dropout_rates(rates)
