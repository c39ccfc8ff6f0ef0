"""Layers, sequences, tensors and functions of PyTorch and Keras, as far as they decide which network is built."""

import ast
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from playground.code_import.interpreter.builtin_functions import (
    BUILTIN_NAMES,
    call_builtin,
)
from playground.code_import.interpreter.expressions import UnknownValues
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.library_names import (
    IDENTITY_FUNCTIONS,
    TRAINING_METHODS,
    USUAL_NAMES,
    VIEW_OPERATIONS,
    find_model_collection,
    get_library,
    is_reading_call,
)
from playground.code_import.interpreter.objects import ObjectEvaluator
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import (
    WHOLE_MAP,
    BoundMethod,
    Call,
    ExampleTensor,
    Frame,
    LibraryName,
    ModuleSequence,
    Partial,
    Scope,
    SymbolicTensor,
    TensorSize,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
    split_common_prefix,
)
from playground.code_import.keras_ops import KERAS_OPS
from playground.code_import.torch_ops import TORCH_OPS

_MAX_CALLS = 300
_MAX_PARTS = 300
_SIZE = Unknown("this size is known only when the network runs", is_absent=True)
_SEQUENCE_KINDS = ("Sequential", "ModuleList", "ModuleDict")
_WEIGHTS = ("weight", "bias")
_FUNCTIONS_ON_SEVERAL = ("add", "Add")


@dataclass(frozen=True)
class Use:
    """Use of a network, or of an unknown value in the place of one; ``is_undecided``: it may not happen."""

    value: object
    node: ast.AST
    kind: str
    is_undecided: bool


def is_dropout(call: Call) -> bool:
    """Return True for dropout, which is active only while training."""
    return "dropout" in call.name.lower()


def _exclude_dropout(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls that are active while the network is evaluated."""
    return tuple(
        replace(call, body=_exclude_dropout(call.body), shortcut=_exclude_dropout(call.shortcut), module=call.module)
        if call.body
        else call
        for call in calls
        if not is_dropout(call)
    )


def _mark_whole_map(value: object, tensor: SymbolicTensor) -> object:
    """Replace the height and width of a tensor in the arguments of a function on it by ``WHOLE_MAP``."""
    match value:
        case TensorSize(calls=calls, axis="height and width") if calls == tensor.calls:
            return WHOLE_MAP
        case [TensorSize(calls=calls, axis=2), TensorSize(calls=others, axis=3)] if calls == others == tensor.calls:
            return WHOLE_MAP
    return value


class LibraryEvaluator(ObjectEvaluator):
    """Knows the libraries' values; ``networks`` and ``uses`` are what the choice of the network is made from."""

    def __init__(self) -> None:
        super().__init__()
        self.networks: list[tuple[ModuleSequence | UserInstance, ast.AST, bool]] = []
        """Every network in the order of creation, with its place, and True if it may not be made."""
        self.uses: list[Use] = []
        """Networks, and unknown values in the place of one, that the program trains, applies or assigns, in order."""
        self.notes: list[str] = []
        self.example_shapes: dict[int, set[tuple[int, ...]]] = {}
        """Shapes without batch of the example tensors that layers are applied to, by the layer's identity."""
        self.star_library = ""
        """Library of which the program imports all names."""
        self.is_filling = False
        """Give unknown values to arguments that a call lacks."""
        self.frames: list[Frame] = []
        self._apply_depth = 0

    def record_use(self, value: object, node: ast.AST, kind: str) -> None:
        """Record that the program uses a network."""
        self.heap.charge(1)
        if not self._apply_depth:  # what a network does to its own parts says nothing about which one is meant
            self.uses.append(Use(value, node, kind, self.heap.is_speculating))

    def fill_argument(self, function: UserFunction, name: str) -> object:
        """Return the value of a required argument that a call lacks."""
        if self.is_filling:
            return Unknown(f"`{name}` has no value in this code", get_line_number(function.node), is_absent=True)
        return super().fill_argument(function, name)

    # Names

    @abstractmethod
    def call_method(
        self, owner: object, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a method of a layer, a sequence, a tensor or a plain value."""

    @abstractmethod
    def call_object_builtin(
        self, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a built-in function, some of which know objects."""

    def find_name(self, name: str, scope: Scope, node: ast.AST) -> object:
        """Return the value of a name."""
        found = scope.find(name)
        if found:
            return found.cells[name]
        if name in BUILTIN_NAMES:
            return NotImplemented if name == "NotImplemented" else LibraryName(name, "builtins")
        if name in USUAL_NAMES:
            return LibraryName(USUAL_NAMES[name], get_library(USUAL_NAMES[name]))
        if name[:1].isupper() or self.star_library:
            return LibraryName(name, self.star_library)
        return Unknown(f"`{name}` is not defined in this code", get_line_number(node), is_absent=True)

    # Calls

    def call_value(
        self, function: object, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> object:
        """Call a value."""
        self.heap.charge(1)
        match function:
            case UserFunction():
                return self.call_function(function, positional, keywords, node)
            case UserClass():
                return self.instantiate(function, positional, keywords, node)
            case Partial():
                merged = function.keywords | dict(keywords)
                return self.call_value(function.function, [*function.positional, *positional], merged, node)
            case BoundMethod(owner=owner, function=UserFunction() as method):
                return self.call_function(method, [owner, *positional], keywords, node)
            case BoundMethod(owner=owner, function=str() as name):
                return self.call_method(owner, name, list(positional), dict(keywords), node)
            case UserInstance() | Call() | ModuleSequence() | SymbolicTensor():
                if isinstance(function, UserInstance | ModuleSequence):
                    self.record_use(function, node, "called")
                self._apply_depth += 1
                try:
                    return self.apply(function, list(positional), dict(keywords), node)
                finally:
                    self._apply_depth -= 1
            case LibraryName():
                return self._call_library(function, list(positional), dict(keywords), node)
            case Unknown():
                return self._call_unknown(function, positional, keywords, node)
        return Unknown("this call cannot be followed")

    def _call_unknown(
        self, function: Unknown, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> Unknown:
        """Call code that is not here: what it could change becomes unknown."""
        given = [*positional, *keywords.values()]
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        is_reading = is_reading_call(name.rpartition(".")[2], "")
        changed = Unknown(f"`{name[:40]}(…)` is not in this code and may change it", get_line_number(node))
        self.heap.taint_reachable(given, changed, with_networks=not is_reading)
        self.unknown_call_count += 1
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_network = node.func.attr in (("parameters", "summary") if function.is_absent else TRAINING_METHODS)
            if is_network and not any(isinstance(value, UserInstance | ModuleSequence) for value in given):
                self.record_use(function, node, node.func.attr)
        networks = [value for value in given if isinstance(value, UserInstance | ModuleSequence)]
        for network in networks:
            self.record_use(network, node, "passed on")
        if networks and is_reading and name.isidentifier() and not name.startswith("summar"):
            line = get_line_number(node)
            self.notes.append(
                f"Line {line}: `{name}` is not in this code; it is assumed to leave the layers as they are."
            )
        return function

    def _call_library(
        self, function: LibraryName, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        name, short_name = function.name, function.short_name
        if function.library == "builtins":
            return self.call_object_builtin(name, positional, keywords, node)
        if function.library == "torch" and short_name in ("randn", "rand", "zeros", "ones"):
            sizes = keywords.get("size", positional[0] if len(positional) == 1 else positional)
            example = ExampleTensor(f"`{short_name}(…)` is data", get_line_number(node), is_absent=True)
            sizes = (sizes,) if isinstance(sizes, int) else sizes
            if isinstance(sizes, list | tuple) and sizes and all(isinstance(size, int) and size > 0 for size in sizes):
                return replace(example, shape=tuple(sizes))
        if collection := find_model_collection(name):
            return self._name_ready_made_network(short_name, collection, positional, node)
        if name in BUILTIN_NAMES:  # ``numpy.prod``
            return call_builtin(self, name, positional, keywords, node)
        first = positional[0] if positional else None
        if short_name in IDENTITY_FUNCTIONS and positional and not isinstance(first, SymbolicTensor):
            return (
                self.call_object_builtin("range", positional, {}, node) if short_name in ("trange", "prange") else first
            )
        if short_name == "compile" and isinstance(first, UserInstance | ModuleSequence | Call | UserFunction):
            return first
        if function.library in ("torch", "keras", ""):
            found = self._create_library_object(function, positional, keywords, node)
            if found is not NotImplemented:
                return found
        given = [*positional, *keywords.values()]
        self.unknown_call_count += 1
        changed = Unknown(f"`{short_name}(…)` may change it and cannot be followed", get_line_number(node))
        if not is_reading_call(name, function.library):
            self.heap.taint_reachable(given, changed)
        for value in given:
            if isinstance(value, UserInstance | ModuleSequence):
                self.record_use(value, node, "passed on")
        return find_unknown(given) or Unknown(
            f"`{ast.unparse(node)[:50]}` is not run here", get_line_number(node), is_absent=True
        )

    def _name_ready_made_network(
        self, name: str, collection: str, positional: Sequence[object], node: ast.AST
    ) -> Unknown:
        """Return the unknown value of a network whose layers are not in the code; its name may be an argument."""
        named = (
            [value for value in positional if isinstance(value, str)] if collection in ("timm", "PyTorch Hub") else []
        )
        title = (named or [name])[-1][:40]
        network = Unknown(
            f"{title} is a network of {collection}, whose layers are not in this code; the Data page can extract "
            "features with a pretrained network instead",
            get_line_number(node),
        )
        self.record_use(network, node, "assigned")
        return network

    def _create_library_object(
        self, function: LibraryName, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Make a layer, a sequence or a tensor, or record an operation; NotImplemented for other functions."""
        name, library = function.short_name, function.library
        if name in _SEQUENCE_KINDS:
            return self._create_sequence(name, library, positional, keywords, node)
        if name in ("Model", "Functional") and (len(positional) > 1 or keywords):
            return self._create_functional_model(positional, keywords, node)
        if name == "Input":
            return SymbolicTensor((self._make_call(name, "keras", positional, keywords, node),))
        if name == "image_data_format":
            return "channels_last"
        tensors = self._find_tensors([*positional, *keywords.values()])
        if name in ("shape", "rank", "size") and tensors:
            return _SIZE
        if name == "add" and len(tensors) > 1:
            return self.add_branches(tensors, node)
        if len(tensors) > 1:
            return self.extend(tensors[0], Call("several inputs", (), {}, node, library=library))
        if tensors and not name[:1].isupper():
            return self._apply_function(name, library, tensors[0], positional, keywords, node)
        if name[:1].isupper():
            call = self._make_call(name, library, positional, keywords, node)
            return self._apply_layer(call, tensors[0], [], {}, node) if tensors else call
        return NotImplemented

    def _freeze(self, values: Sequence[object]) -> tuple[object, ...]:
        """Return copies of lists in the arguments of a layer, which reads them once."""
        return tuple(self._freeze_value(value) for value in values)

    def _make_call(
        self, name: str, library: str, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> Call:
        """Return a layer or an operation; an unknown number of arguments is one that nothing reads."""
        named = {key: self._freeze_value(value) for key, value in keywords.items()}
        if unknown := next((value for value in positional if isinstance(value, UnknownValues)), None):
            named["*"] = unknown
        return Call(name, self._freeze(positional), named, node, library=library)

    def _freeze_value(self, value: object) -> object:
        self.heap.charge(1)
        if taint := self.heap.get_taint(value):
            return taint
        return self._freeze(value) if isinstance(value, list | tuple) else value

    def _apply_function(
        self,
        name: str,
        library: str,
        tensor: SymbolicTensor,
        positional: Sequence[object],
        keywords: Mapping[str, object],
        node: ast.AST,
    ) -> object:
        """Record ``F.relu(x)``: a function of a library on a tensor."""
        others = [_mark_whole_map(value, tensor) for value in positional if value is not tensor]
        named = {key: _mark_whole_map(value, tensor) for key, value in keywords.items() if value is not tensor}
        if name.startswith("dropout") and self._is_inactive_dropout(others, named):
            return tensor
        if name.startswith("dropout"):
            named.pop("training", None)
            others = others[:1]
        is_in_place = name.endswith("_") or named.pop("inplace", False) is True
        call = self._make_call(name.rstrip("_"), library, others, named, node)
        return self.mutate(tensor, call) if is_in_place else self.extend(tensor, call)

    def _is_inactive_dropout(self, others: Sequence[object], keywords: Mapping[str, object]) -> bool:
        active = keywords.get("training", others[1] if len(others) > 1 else True)
        if isinstance(active, Unknown):
            active = self.training
        return active is False

    # Sequences and models

    def _create_sequence(
        self, kind: str, library: str, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> object:
        given = [*positional, *([keywords["layers"]] if "layers" in keywords else [])]
        if unknown := next((value for value in given if isinstance(value, Unknown)), None):
            self.record_use(unknown, node, "assigned")
            return Unknown(unknown.reason, unknown.line)
        first = given[0] if given else None
        is_torch = library == "torch" or (not library and not (isinstance(first, list) and kind == "Sequential"))
        sequence = ModuleSequence(kind, node, "torch" if is_torch and (library or first) else library or "keras")
        if len(given) == 1 and isinstance(first, dict):
            sequence.cells = dict(first)
        elif len(given) == 1 and not isinstance(
            first, Call | SymbolicTensor | UserInstance | ModuleSequence | LibraryName | UserFunction
        ):
            values = self.iterate(first, node)
            if isinstance(values, Unknown):
                self.record_use(values, node, "assigned")
                return values
            if kind == "ModuleDict":
                sequence.cells = {pair[0]: pair[1] for pair in values if isinstance(pair, tuple) and len(pair) == 2}
            else:
                sequence.cells = {str(index): value for index, value in enumerate(values)}
        elif len(given) == 1 and kind == "ModuleList" and isinstance(first, ModuleSequence):
            sequence.cells = {str(index): value for index, value in enumerate(first.parts)}
        else:
            sequence.cells = {str(index): value for index, value in enumerate(given)}
        self.heap.charge(len(sequence.cells))
        if kind == "Sequential":
            self.record_network(sequence, node)
        return sequence

    def _create_functional_model(
        self, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> object:
        start = keywords.get("inputs", keywords.get("input", positional[0] if positional else None))
        end = keywords.get("outputs", keywords.get("output", positional[1] if len(positional) > 1 else None))
        starts, ends = self._find_tensors([start]), self._find_tensors([end])
        if len(starts) != 1 or not ends:
            unknown = find_unknown([start, end]) or Unknown("a model with several inputs is not supported")
            self.record_use(unknown, node, "assigned")
            return unknown
        shared, rests = split_common_prefix([starts[0], ends[0]])
        if rests[0]:
            return Unknown("the outputs of this model do not depend on its inputs")
        kept = shared if len(shared) == 1 else ()
        if len(ends) > 1:
            self.notes.append("The network returns several values; only the first is used.")
        model = ModuleSequence("Model", node, "keras", {"0": SymbolicTensor((*kept, *rests[1]))})
        self.record_network(model, node)
        return model

    def record_network(self, value: ModuleSequence | UserInstance, node: ast.AST) -> None:
        """Record a network that the program made."""
        if not self._apply_depth:
            self.networks.append((value, node, self.heap.is_speculating))
        if len(self.networks) > 2_000:
            raise create_too_long_error()

    def initialize_base(
        self,
        instance: UserInstance,
        base: LibraryName,
        positional: Sequence[object],
        keywords: Mapping[str, object],
        node: ast.AST,
    ) -> None:
        """Call the constructor of a library's class for an instance of a derived class."""
        name = base.short_name
        if name in ("Module", "LightningModule", "Layer", "Model") and not (
            positional or set(keywords) & {"inputs", "outputs"}
        ):
            if "trainable" in keywords:
                instance.cells["trainable"] = keywords["trainable"]
            return
        if name.endswith(("Error", "Exception")) or name == "object":
            return
        made = self._create_library_object(base, list(positional), dict(keywords), node)
        self.networks = [entry for entry in self.networks if entry[0] is not made]
        if isinstance(made, Call | ModuleSequence):
            self.heap.touch(instance)
            instance.base = made
        elif isinstance(made, Unknown):
            self.heap.taint(instance, made)

    def get_part(self, sequence: ModuleSequence, key: object, node: ast.AST) -> object:
        """Return a part or a slice of a sequence of modules."""
        if isinstance(key, Unknown):
            return key
        if isinstance(key, str):
            return sequence.cells[key]
        names = list(sequence.cells)
        if isinstance(key, int):
            return sequence.cells[names[key]]
        if isinstance(key, slice):
            chosen = {
                name if sequence.kind == "Sequential" else str(i): sequence.cells[name]
                for i, name in enumerate(names[key])
            }
            part = ModuleSequence(sequence.kind, node, sequence.library, chosen)
            if sequence.kind == "Sequential":
                self.record_network(part, node)
            return part
        return Unknown("this item of a sequence of modules cannot be followed")

    def set_part(self, sequence: ModuleSequence, key: object, value: object, node: ast.AST) -> None:
        """Evaluate ``net[3] = layer``."""
        names = list(sequence.cells)
        self.heap.touch(sequence)
        if isinstance(key, str) and sequence.kind == "ModuleDict":
            sequence.cells[key] = value
        elif isinstance(key, int):
            sequence.cells[names[key]] = value
        else:
            self.heap.taint(
                sequence,
                find_unknown([key]) or Unknown("this change of the network cannot be followed", get_line_number(node)),
            )

    def delete_part(self, sequence: ModuleSequence, key: object, node: ast.AST) -> None:
        """Evaluate ``del net[3]``; the others are numbered again."""
        names = list(sequence.cells)
        self.heap.touch(sequence)
        if isinstance(key, int | slice):
            removed = names[key] if isinstance(key, slice) else [names[key]]
            rest = [part for name, part in sequence.cells.items() if name not in removed]
            sequence.cells = {str(index): part for index, part in enumerate(rest)}
        elif isinstance(key, str):
            del sequence.cells[key]
        else:
            self.heap.taint(sequence, Unknown("this change of the network cannot be followed", get_line_number(node)))

    # Application to tensors

    def apply(self, part: object, positional: list[object], keywords: dict[str, object], node: ast.AST) -> object:
        """Apply a layer, a sequence, an instance or a function to its arguments."""
        self.heap.charge(1)
        if taint := self.heap.get_taint(part):
            return taint
        if isinstance(part, UserInstance):
            return self._apply_instance(part, positional, keywords, node)
        if isinstance(part, UserFunction | BoundMethod | Partial | LibraryName | UserClass):
            return self.call_value(part, positional, keywords, node)
        tensors = self._find_tensors([*positional, *keywords.values()])
        if isinstance(part, Call) and part.name in _FUNCTIONS_ON_SEVERAL and len(tensors) > 1:
            return self.add_branches(tensors, node)
        if len(tensors) > 1:
            return self.extend(tensors[0], Call("several inputs", (), {}, node))
        if not tensors:
            if isinstance(part, Call) and positional and isinstance(positional[0], ExampleTensor):
                self.example_shapes.setdefault(id(part.owner), set()).add(positional[0].shape[1:])
            if isinstance(part, ModuleSequence) and part.kind != "Model":
                value: object = positional[0] if positional else None
                for inner in part.parts:  # a layer of the program may change what it owns
                    value = self.apply(inner, [value], {}, part.node)
                return value if isinstance(value, Unknown) else _SIZE
            given = find_unknown([*positional, *keywords.values()])
            return given or Unknown("this layer is not applied to the images")
        tensor = tensors[0]
        match part:
            case Call():
                others = [value for value in positional if value is not tensor and value != [tensor]]
                return self._apply_layer(part, tensor, others, keywords, node)
            case SymbolicTensor(calls=calls):
                if self.training is False:
                    calls = _exclude_dropout(calls)
                return self.extend(tensor, *(replace(call, module=call.owner) for call in calls))
            case ModuleSequence(kind="ModuleList" | "ModuleDict"):
                raise ProgramError("NotImplementedError", f"a {part.kind} has no forward method")
            case ModuleSequence():
                value = tensor
                for inner in part.parts:
                    value = self.apply(inner, [value], {}, part.node)
                return value
            case Unknown():
                return part
        return self.extend(tensor, Call("this part", (), {}, node))

    def _apply_layer(
        self,
        layer: Call,
        tensor: SymbolicTensor,
        others: Sequence[object],
        keywords: Mapping[str, object],
        node: ast.AST,
    ) -> object:
        named = dict(keywords)
        training = named.pop("training", None)
        active = self.training if training is None or isinstance(training, Unknown) else training
        if is_dropout(layer) and active is False:
            return tensor
        if isinstance(training, bool) and training is not self.training:
            return self.extend(tensor, Call(f"training={training}", (), {}, node))
        if others or any(not isinstance(value, SymbolicTensor) for value in named.values()):
            return self.extend(tensor, Call(f"{layer.name} with further arguments", (), {}, node))
        applied = replace(layer, module=layer.owner)
        signature = (TORCH_OPS if layer.library != "keras" else KERAS_OPS).get(layer.name)
        place = signature[0].index("inplace") if signature and "inplace" in signature[0] else None
        is_in_place = layer.keywords.get(
            "inplace", layer.positional[place] if place is not None and len(layer.positional) > place else False
        )
        return self.mutate(tensor, applied) if is_in_place is True else self.extend(tensor, applied)

    def _apply_instance(
        self, instance: UserInstance, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        forward = self.find_forward(instance)
        build, _ = instance.user_class.find("build")
        is_keras = any(base.short_name in ("Layer", "Model") for base in instance.user_class.library_bases)
        if is_keras and isinstance(build, UserFunction) and "built" not in instance.cells:
            self.heap.touch(instance)
            instance.cells["built"] = True
            self.call_function(build, [instance, _SIZE], {}, node)
        if forward is None:
            return (
                self.apply(instance.base, positional, keywords, node)
                if instance.base
                else Unknown(f"{instance.user_class.name} has no forward method")
            )
        if isinstance(forward, BoundMethod) and isinstance(forward.function, UserFunction) and is_keras:
            arguments = forward.function.node.args
            names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
            if "training" in names and keywords.get("training") is None and len(positional) < names.index("training"):
                keywords = keywords | {"training": self.training}
        return self.call_value(forward, positional, keywords, node)

    def _find_tensors(self, values: Sequence[object]) -> list[SymbolicTensor]:
        every = [part for value in values for part in (value if isinstance(value, list | tuple) else (value,))]
        return [part for part in every if isinstance(part, SymbolicTensor)]

    def extend(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """Return the tensor after more calls."""
        if len(tensor.calls) + len(calls) > _MAX_CALLS:
            raise create_too_long_error()
        self.heap.charge(len(tensor.calls) // 8)
        is_view = len(calls) == 1 and calls[0].name in VIEW_OPERATIONS
        return SymbolicTensor((*tensor.calls, *calls), tensor if is_view else None)

    def mutate(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """Change a tensor in place; tensors that share its memory become unknown."""
        after = self.extend(tensor, *calls).calls
        for view in tensor.views:
            if view is not tensor:
                self.heap.taint(view, Unknown("a tensor that shares its memory is changed in place", calls[0].line))
        self.heap.touch(tensor)
        tensor.cells["calls"] = after
        return tensor

    def add_branches(self, tensors: Sequence[SymbolicTensor], node: ast.AST) -> SymbolicTensor:
        """Record the sum of branches: a residual block, or an unsupported sum."""
        shared, rests = split_common_prefix(tensors)
        body, *shortcuts = sorted(rests, key=len, reverse=True)
        is_block = len(shortcuts) == 1 and body
        call = Call("Residual", (), {}, node, body, shortcuts[0]) if is_block else Call("a sum", (), {}, node)
        return self.extend(SymbolicTensor(shared), call)

    def apply_tensor_operator(
        self, operator: ast.operator, left: object, right: object, node: ast.AST, *, is_in_place: bool
    ) -> object:
        """Record an arithmetic operation on tensors."""
        if isinstance(left, SymbolicTensor) and isinstance(right, SymbolicTensor):
            if isinstance(operator, ast.Add):
                added = self.add_branches([left, right], node)
                return self._replace_in_place(left, added) if is_in_place else added
            result = self.extend(left, Call("several inputs", (), {}, node))
            return self._replace_in_place(left, result) if is_in_place else result
        tensor, other = (left, right) if isinstance(left, SymbolicTensor) else (right, left)
        if not isinstance(tensor, SymbolicTensor):
            return Unknown("this operation cannot be followed")
        symbol = type(operator).__name__
        call = Call("arithmetic", (symbol, other, tensor is not left), {}, node)
        return self.mutate(tensor, call) if is_in_place and tensor is left else self.extend(tensor, call)

    def _replace_in_place(self, tensor: SymbolicTensor, result: SymbolicTensor) -> SymbolicTensor:
        is_keras = any(call.library == "keras" for call in tensor.calls)
        if is_keras:  # Keras tensors have no ``+=`` of their own
            return result
        self.mutate(tensor, Call("replaced", (), {}, ast.Pass()))
        tensor.cells["calls"] = result.calls
        return tensor

    def apply_tensor_call(
        self, name: str, tensor: SymbolicTensor, positional: Sequence[object], node: ast.AST
    ) -> object:
        """Record an operation on a tensor."""
        return self.extend(tensor, Call(name, self._freeze(positional), {}, node))
