"""Layers applied to tensors: each tensor is the sequence of calls that produced it."""

import ast
from collections.abc import Sequence
from dataclasses import replace

from playground.code_import.interpreter.classes import ClassEvaluator
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.libraries.names import IDENTITY_METHODS, SIZE_METHODS, VIEW_OPERATIONS
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import (
    WHOLE_MAP,
    BoundMethod,
    Call,
    CallSite,
    ExampleTensor,
    LibraryName,
    ModuleSequence,
    Partial,
    SymbolicTensor,
    TensorSize,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
    split_common_prefix,
)
from playground.code_import.keras_ops import KERAS_OPS
from playground.code_import.torch_ops import TORCH_OPS

_MAX_CALLS = 300
SIZE = Unknown("this size is known only when the network runs", is_absent=True)
_FUNCTIONS_ON_SEVERAL = ("add", "Add")


def is_dropout(call: Call) -> bool:
    """Return True for dropout, which is active only while training."""
    return "dropout" in call.name.lower()


def _exclude_dropout(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the calls that are active while the network is evaluated."""
    return tuple(
        replace(call, body=_exclude_dropout(call.body), shortcut=_exclude_dropout(call.shortcut)) if call.body else call
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


def get_argument_names(layer: Call) -> tuple[str, ...]:
    """Return the names of a layer's arguments in the order of its signature; none for an unknown layer."""
    table = KERAS_OPS if layer.library == "keras" or layer.name not in TORCH_OPS else TORCH_OPS
    return table[layer.name][0] if layer.name in table else ()


def find_argument(layer: Call, name: str) -> object:
    """Return an argument that the layer was made with; NotImplemented without one."""
    if name in layer.keywords:
        return layer.keywords[name]
    names = get_argument_names(layer)
    place = names.index(name) if name in names else len(layer.positional)
    return layer.positional[place] if place < len(layer.positional) else NotImplemented


class TensorEvaluator(ClassEvaluator):
    """Applies layers and operations to tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.apply_depth = 0

    def make_call(self, name: str, library: str, site: CallSite) -> Call:
        """Return a layer or an operation; an unknown number of arguments is one that nothing reads."""
        named = {key: self._freeze_value(value) for key, value in site.keywords.items()}
        if site.unknown_values:
            named["*"] = site.unknown_values
        return Call(name, self._freeze(site.positional), named, site.node, library=library)

    def _freeze(self, values: Sequence[object]) -> tuple[object, ...]:
        """Return copies of lists in the arguments of a layer, which reads them once."""
        return tuple(self._freeze_value(value) for value in values)

    def _freeze_value(self, value: object) -> object:
        self.heap.charge(1)
        if taint := self.heap.get_taint(value):
            return taint
        return self._freeze(value) if isinstance(value, list | tuple) else value

    # Application

    def apply(self, part: object, site: CallSite) -> object:
        """Apply a layer, a sequence, an instance or a function to its arguments."""
        self.heap.charge(1)
        if taint := self.heap.get_taint(part):
            return taint
        if isinstance(part, UserInstance):
            return self._apply_instance(part, site)
        if isinstance(part, UserFunction | BoundMethod | Partial | LibraryName | UserClass):
            return self.call_value(part, site)
        tensors = site.tensors
        if isinstance(part, Call) and part.name in _FUNCTIONS_ON_SEVERAL and len(tensors) > 1:
            return self.add_branches(tensors, site.node)
        if len(tensors) > 1:
            return self.extend(tensors[0], Call("several inputs", (), {}, site.node))
        if not tensors:
            return self._apply_to_data(part, site)
        tensor = tensors[0]
        match part:
            case Call():
                others = [value for value in site.positional if value is not tensor and value != [tensor]]
                return self.apply_layer(part, tensor, replace(site, positional=others))
            case SymbolicTensor(calls=calls):
                if self.training is False:
                    calls = _exclude_dropout(calls)
                return self.extend(tensor, *(replace(call, module=call.owner) for call in calls))
            case ModuleSequence(kind="ModuleList" | "ModuleDict"):
                raise ProgramError("NotImplementedError", f"a {part.kind} has no forward method")
            case ModuleSequence():
                return self._apply_parts(part, tensor)
            case Unknown():
                return part
        return self.extend(tensor, Call("this part", (), {}, site.node))

    def _apply_parts(self, sequence: ModuleSequence, value: object) -> object:
        for inner in sequence.parts:
            value = self.apply(inner, CallSite(sequence.node, (value,)))
        return value

    def _apply_to_data(self, part: object, site: CallSite) -> Unknown:
        """Apply a part to values that are not those of the images: their shape may be known, the result is not."""
        if isinstance(part, Call) and isinstance(site.first, ExampleTensor):
            self.example_shapes.setdefault(id(part.owner), set()).add(site.first.shape[1:])
        if isinstance(part, ModuleSequence) and part.kind != "Model":
            value = self._apply_parts(part, site.first)  # a layer of the program may change what it owns
            return value if isinstance(value, Unknown) else SIZE
        return find_unknown(site.values) or Unknown("this layer is not applied to the images")

    def apply_layer(self, layer: Call, tensor: SymbolicTensor, site: CallSite) -> SymbolicTensor:
        """Apply a layer to a tensor; the site has its other arguments."""
        named = dict(site.keywords)
        training = named.pop("training", None)
        active = self.training if training is None or isinstance(training, Unknown) else training
        if is_dropout(layer) and active is False:
            return tensor
        if isinstance(training, bool) and training is not self.training:
            return self.extend(tensor, Call(f"training={training}", (), {}, site.node))
        if site.positional or any(not isinstance(value, SymbolicTensor) for value in named.values()):
            return self.extend(tensor, Call(f"{layer.name} with further arguments", (), {}, site.node))
        applied = replace(layer, module=layer.owner)
        is_in_place = find_argument(layer, "inplace") is True
        return self._mutate(tensor, applied) if is_in_place else self.extend(tensor, applied)

    def _apply_instance(self, instance: UserInstance, site: CallSite) -> object:
        forward = self.find_forward(instance)
        build, _ = instance.user_class.find("build")
        is_keras = any(base.short_name in ("Layer", "Model") for base in instance.user_class.library_bases)
        if is_keras and isinstance(build, UserFunction) and "built" not in instance.cells:
            self.heap.touch(instance)
            instance.cells["built"] = True
            self.call_function(build, CallSite(site.node, (instance, SIZE)))
        if forward is None:
            reason = f"{instance.user_class.name} has no forward method"
            return self.apply(instance.base, site) if instance.base else Unknown(reason)
        if isinstance(forward, BoundMethod) and isinstance(forward.function, UserFunction) and is_keras:
            arguments = forward.function.node.args
            names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
            is_given = site.keywords.get("training") is not None
            if "training" in names and not is_given and len(site.positional) < names.index("training"):
                site = replace(site, keywords={**site.keywords, "training": self.training})
        return self.call_value(forward, site)

    def apply_function(self, name: str, library: str, tensor: SymbolicTensor, site: CallSite) -> SymbolicTensor:
        """Record ``F.relu(x)``: a function of a library on a tensor."""
        others = [_mark_whole_map(value, tensor) for value in site.positional if value is not tensor]
        named = {key: _mark_whole_map(value, tensor) for key, value in site.keywords.items() if value is not tensor}
        if name.startswith("dropout"):
            active = named.pop("training", others[1] if len(others) > 1 else True)
            if (self.training if isinstance(active, Unknown) else active) is False:
                return tensor
            others = others[:1]
        is_in_place = name.endswith("_") or named.pop("inplace", False) is True
        call = self.make_call(name.rstrip("_"), library, CallSite(site.node, others, named))
        return self._mutate(tensor, call) if is_in_place else self.extend(tensor, call)

    # Operations

    def extend(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """Return the tensor after more calls."""
        if len(tensor.calls) + len(calls) > _MAX_CALLS:
            raise create_too_long_error()
        self.heap.charge(len(tensor.calls) // 8)
        is_view = len(calls) == 1 and calls[0].name in VIEW_OPERATIONS
        return SymbolicTensor((*tensor.calls, *calls), tensor if is_view else None)

    def _mutate(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
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
            is_sum = isinstance(operator, ast.Add)
            several = Call("several inputs", (), {}, node)
            result = self.add_branches([left, right], node) if is_sum else self.extend(left, several)
            return self._replace_in_place(left, result) if is_in_place else result
        tensor, other = (left, right) if isinstance(left, SymbolicTensor) else (right, left)
        if not isinstance(tensor, SymbolicTensor):
            return Unknown("this operation cannot be followed")
        call = Call("arithmetic", (type(operator).__name__, other, tensor is not left), {}, node)
        return self._mutate(tensor, call) if is_in_place and tensor is left else self.extend(tensor, call)

    def _replace_in_place(self, tensor: SymbolicTensor, result: SymbolicTensor) -> SymbolicTensor:
        if any(call.library == "keras" for call in tensor.calls):  # Keras tensors have no ``+=`` of their own
            return result
        self._mutate(tensor, Call("replaced", (), {}, ast.Pass()))
        tensor.cells["calls"] = result.calls
        return tensor

    def call_tensor_method(self, tensor: SymbolicTensor, name: str, site: CallSite) -> object:
        """Call a method of a tensor."""
        if name in IDENTITY_METHODS:
            return tensor
        if name in SIZE_METHODS:
            size = get_size(tensor) if name == "size" and not site.keywords else SIZE
            return size.select(site.first) if site.positional and isinstance(size, TensorSize) else size
        if name == "clone":
            return SymbolicTensor(tensor.calls)
        if name in ("add", "add_") and len(site.positional) == 1 and not site.keywords:
            return self.apply_tensor_operator(ast.Add(), tensor, site.first, site.node, is_in_place=name == "add_")
        if any(isinstance(value, SymbolicTensor) for value in site.values):
            call = Call("several inputs", (), {}, site.node)
            return self._mutate(tensor, call) if name.endswith("_") else self.extend(tensor, call)
        return self.apply_function(name, "", tensor, site)


def get_size(tensor: SymbolicTensor) -> TensorSize:
    """Return the size of a tensor."""
    return TensorSize(SIZE.reason, is_absent=True, calls=tensor.calls)
