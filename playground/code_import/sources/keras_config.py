"""Keras code from a serialized Keras model: the text of ``model.to_json()`` or the configuration in a .keras file."""

from typing import Any

from playground.code_import.sources.source_code import SourceCode
from playground.errors import ArchitectureError

_MAX_LAYERS = 2_000
_DROPPED_ARGUMENTS = {"name", "dtype", "data_format", "seed", "noise_shape", "batch_size", "renorm_momentum"}
_DEFAULT_INITIALIZERS = {"GlorotUniform", "Zeros", "Ones", "VarianceScaling", "glorot_uniform", "zeros", "ones"}
_FLAGS = {"sparse", "ragged", "optional", "synchronized", "renorm", "autocast", "lora_enabled"}
_MODELS = {"Sequential", "Functional", "Model"}


def is_keras_config(data: dict[str, Any]) -> bool:
    """Return True for a serialized model, or for the result of ``get_config()``."""
    if "class_name" in data:
        return "config" in data
    layers = data.get("layers")
    return isinstance(layers, list) and any(isinstance(layer, dict) and "class_name" in layer for layer in layers)


def render_keras_config(data: dict[str, Any]) -> SourceCode:
    """Write the model as Keras code, one layer on a line; raises ArchitectureError for a configuration without layers.

    The code is for ``parse_code`` only and is never executed.
    """
    if "class_name" not in data:
        data = {"class_name": "Functional" if "input_layers" in data else "Sequential", "config": data}
    renderer = _Renderer()
    try:
        if not renderer.is_model(data):
            raise _invalid_config_error(f"{_read_text(data, 'class_name')} is not a model of layers")
        renderer.add_model(data)
    except RecursionError:
        raise _invalid_config_error("it is nested too deeply") from None
    return renderer.code


class _Renderer:
    def __init__(self) -> None:
        self.code = SourceCode(["import keras"], ["the model"])
        self._count = 0

    @staticmethod
    def is_model(layer: dict[str, Any]) -> bool:
        config = layer.get("config")
        return layer.get("class_name") in _MODELS and isinstance(config, dict | list)

    def add_model(self, model: dict[str, Any]) -> str:
        """Add the lines of a model and return the name of its variable."""
        config = model["config"]
        layers = config if isinstance(config, list) else config.get("layers")  # a list in Keras 1
        if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
            raise _invalid_config_error("it has no layers, as that of a subclass of Model")
        if len(layers) > _MAX_LAYERS:
            raise _too_many_layers_error()
        if isinstance(config, dict) and "input_layers" in config:
            return self._add_functional_model(config, layers)
        names = [self._add_layer(layer) for layer in layers]
        return self._add_line(f"keras.Sequential([{', '.join(names)}])", "the model")

    def _add_layer(self, layer: dict[str, Any], *, is_input: bool = False) -> str:
        if self.is_model(layer):
            return self.add_model(layer)
        if is_input and layer.get("class_name") == "InputLayer":
            return self._add_line(self._render_call({**layer, "class_name": "Input"}), f"layer {_name_layer(layer)!r}")
        return self._add_line(self._render_call(layer), f"layer {_name_layer(layer)!r}")

    def _add_functional_model(self, config: dict[str, Any], layers: list[dict[str, Any]]) -> str:
        """Add the layers and their calls in an order in which each one's inputs come first."""
        by_name = {_name_layer(layer): layer for layer in layers}
        variables: dict[str, str] = {}
        tensors: dict[tuple[str, int], str] = {}
        pending = [(name, 0) for name in by_name]
        while pending:
            postponed = []
            has_progressed = False
            for name, index in pending:
                nodes = by_name[name].get("inbound_nodes") or [()]
                inputs = _read_tensors(nodes[index])
                if any(key not in tensors for key in inputs):
                    postponed.append((name, index))
                    continue
                has_progressed = True
                if name not in variables:
                    variables[name] = self._add_layer(by_name[name], is_input=not inputs)
                names = [tensors[key] for key in inputs]
                mode = ", training=False" if _is_always_inference(nodes[index]) else ""
                call = f"{variables[name]}({names[0] if len(names) == 1 else '[' + ', '.join(names) + ']'}{mode})"
                tensors[name, index] = self._add_line(call, f"layer {name!r}") if names else variables[name]
                if self.is_model(by_name[name]):
                    if len(nodes) > 1:
                        raise _invalid_config_error(f"the model {name[:40]!r} in it is used twice")
                    tensors[name, 1] = tensors[name, 0]  # functional models count their calls from 1
                if index + 1 < len(nodes):
                    postponed.append((name, index + 1))
            if not has_progressed:
                raise _invalid_config_error("its layers are not connected")
            pending = postponed
        ends = []
        for part in ("input_layers", "output_layers"):
            names = [tensors.get(key, "") for key in _read_tensors(config.get(part))]
            if not all(names) or not names:
                raise _invalid_config_error("its inputs or outputs are not among its layers")
            ends.append(", ".join(names))
        return self._add_line(f"keras.Model([{ends[0]}], [{ends[1]}])", "the model")

    def _add_line(self, expression: str, place: str) -> str:
        self._count += 1
        if self._count > _MAX_LAYERS:
            raise _too_many_layers_error()
        self.code.add(f"value_{self._count} = {expression}", place)
        return f"value_{self._count}"

    def _render_call(self, layer: dict[str, Any]) -> str:
        name = _read_text(layer, "class_name")
        config = layer.get("config")
        if not name.isidentifier() or not isinstance(config, dict):
            raise _invalid_config_error(f"{name[:40]!r} is not a layer with a configuration")
        arguments = [
            f"{key}={self._render_value(value)}"
            for key, value in config.items()
            if isinstance(key, str) and key.isidentifier() and not _is_default(key, value)
        ]
        return f"keras.{'' if name == 'Input' else 'layers.'}{name}({', '.join(arguments)})"

    def _render_value(self, value: object) -> str:
        match value:
            case {"class_name": str(name), "config": dict(config)}:
                return self._render_call({"class_name": name, "config": config})
            case dict():
                return "{" + ", ".join(f"{key!r}: {self._render_value(item)}" for key, item in value.items()) + "}"
            case [single] if not isinstance(single, list | dict):  # the axis of a normalization
                return self._render_value(single)
            case list():
                return "(" + "".join(f"{self._render_value(item)}, " for item in value) + ")"
        return repr(value)


def _is_default(key: str, value: object) -> bool:
    if value is None or key in _DROPPED_ARGUMENTS or (key in _FLAGS and value is False):
        return True
    if key == "trainable":
        return value is True
    name = value.get("class_name") if isinstance(value, dict) else value
    return key.endswith(("initializer", "init")) and name in _DEFAULT_INITIALIZERS


def _name_layer(layer: dict[str, Any]) -> str:
    config = layer.get("config")
    names = (layer.get("name"), config.get("name") if isinstance(config, dict) else None, layer.get("class_name"))
    return next((name for name in names if isinstance(name, str)), "unnamed")


def _read_tensors(node: object) -> list[tuple[str, int]]:
    """Return the tensors, as (layer, call), that a layer is called with, in the forms of Keras 2 and 3."""
    match node:
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [str(name), int(index), *_]}}:
            return [(name, index)]
        case {"args": list(arguments), "kwargs": dict(keywords)}:
            return _read_tensors(arguments) + _read_tensors(keywords)
        case [str(name), int(index), int(), *keywords]:
            return [(name, index), *_read_tensors(keywords)]
        case dict():
            return [
                tensor for name, value in node.items() if name != "training" or value for tensor in _read_tensors(value)
            ]
        case list() | tuple():
            return [tensor for part in node for tensor in _read_tensors(part)]
        case None:
            return []
    raise _invalid_config_error(f"a layer is called with {str(node)[:40]!r}, which is not a tensor")


def _is_always_inference(node: object) -> bool:
    """Return True for a call with ``training=False``."""
    if isinstance(node, dict):
        return node.get("training") is False or any(map(_is_always_inference, node.values()))
    return isinstance(node, list) and any(map(_is_always_inference, node))


def _read_text(layer: dict[str, Any], key: str) -> str:
    value = layer.get(key)
    return value if isinstance(value, str) else ""


def _invalid_config_error(reason: str) -> ArchitectureError:
    return ArchitectureError(
        f"This Keras configuration cannot be read: {reason}.",
        expected="The text of model.to_json(), or a .keras file, of a Sequential or functional model.",
        fix="Paste the code that defines the model.",
    )


def _too_many_layers_error() -> ArchitectureError:
    return _invalid_config_error(f"it has more than {_MAX_LAYERS:,} layers")
