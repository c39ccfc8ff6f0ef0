"""Methods and attributes of layers, sequences of modules and tensors, and the built-in functions on objects."""

import ast
from collections.abc import Iterator, Sequence

from playground.code_import.interpreter.builtin_functions import call_builtin, call_plain_method, get_library_constant
from playground.code_import.interpreter.heap import create_stop_error
from playground.code_import.interpreter.library import LibraryEvaluator
from playground.code_import.interpreter.library_names import (
    IDENTITY_METHODS,
    READING_METHODS,
    SIZE_ATTRIBUTES,
    SIZE_METHODS,
    TRAINING_METHODS,
)
from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    DictView,
    ExampleTensor,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Parameter,
    Partial,
    SuperProxy,
    SymbolicTensor,
    TensorSize,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
    iter_calls,
)
from playground.code_import.keras_ops import KERAS_OPS
from playground.code_import.torch_ops import TORCH_OPS

_SIZE = Unknown("this size is known only when the network runs", is_absent=True)
_WEIGHTLESS_NAMES = ("name", "_name", "built", "supports_masking", "class_names", "stop_training", "optimizer", "loss")


class LibraryObjectEvaluator(LibraryEvaluator):
    """Reads, sets and calls attributes of the libraries' objects."""

    # Attributes

    def get_library_attribute(self, owner: object, name: str, node: ast.AST) -> object:
        """Return an attribute of a layer, a sequence, a tensor or a plain value."""
        match owner:
            case LibraryName():
                constant = get_library_constant(f"{owner.name}.{name}")
                return LibraryName(f"{owner.name}.{name}"[-120:], owner.library) if constant is None else constant
            case Call():
                return self._get_layer_attribute(owner, name)
            case ModuleSequence():
                return self._get_sequence_attribute(owner, name, node)
            case SymbolicTensor():
                if name in SIZE_ATTRIBUTES:
                    return self._get_size(owner) if name == "shape" else _SIZE
                if name in ("T", "mT", "real", "data"):
                    return self.apply_tensor_call(name, owner, (), node)
            case Parameter():
                return (
                    Unknown("it depends on the weights")
                    if name not in ("requires_grad_",)
                    else BoundMethod(owner, name)
                )
        return BoundMethod(owner, name)

    def _get_layer_attribute(self, layer: Call, name: str) -> object:
        if name in layer.cells:
            return layer.cells[name]
        if name in ("weight", "bias", "kernel"):
            given = self._get_argument(layer, "bias") if name == "bias" else True
            return None if given is False else Parameter(layer, name)
        if name in ("trainable", "training"):
            return True if name == "trainable" else self.training
        value = self._get_argument(layer, name)
        if value is not NotImplemented:
            return value
        if name in (
            *IDENTITY_METHODS,
            *READING_METHODS,
            "parameters",
            "named_parameters",
            "children",
            "modules",
            "apply",
        ):
            return BoundMethod(layer, name)
        if name == "__class__":
            return LibraryName(layer.name, layer.library)
        return (
            BoundMethod(layer, name)
            if name.startswith("named_")
            else Unknown(f".{name} of {layer.name} is not known here")
        )

    def _get_argument(self, layer: Call, name: str) -> object:
        """Return an argument that the layer was made with; Unknown for its default; NotImplemented if it has none."""
        table = KERAS_OPS if layer.library == "keras" or layer.name not in TORCH_OPS else TORCH_OPS
        names = table[layer.name][0] if layer.name in table else ()
        if name in layer.keywords:
            return layer.keywords[name]
        if name in names:
            place = names.index(name)
            if place < len(layer.positional):
                return layer.positional[place]
            return Unknown(f"the default of {name} is not known here")
        return NotImplemented

    def _get_sequence_attribute(self, owner: ModuleSequence, name: str, node: ast.AST) -> object:
        if name in owner.cells:
            return owner.cells[name]
        match name:
            case "layers" if owner.kind == "Sequential":
                return [part for part in owner.parts if not _is_input(part)]
            case "layers" if owner.kind == "Model" and isinstance(owner.parts[0], SymbolicTensor):
                flat = [one for call in owner.parts[0].calls for one in (*call.body, call)]
                if any(call.shortcut for call in flat):
                    return Unknown("the order of this model's layers is not known here", origin=owner)
                return [call.owner for call in flat]
            case "output" | "outputs" if owner.library == "keras":
                return self._get_output(owner, node)
            case "input" | "inputs" if owner.library == "keras" and owner.parts:
                first = owner.parts[0]
                calls = first.calls[:1] if isinstance(first, SymbolicTensor) else ()
                return (
                    SymbolicTensor(calls)
                    if calls and calls[0].name == "Input"
                    else Unknown("this input is not known here")
                )
            case "training":
                return self.training
            case "layers" | "output" | "outputs" | "input" | "inputs" | "trainable" | "weights" | "_modules":
                return Unknown(f".{name} of a model cannot be followed", origin=owner)
        return BoundMethod(owner, name)

    def _get_output(self, model: ModuleSequence, node: ast.AST) -> object:
        """Return the output of a Keras model whose input is stated."""
        first, *rest = model.parts or [None]
        if not isinstance(first, SymbolicTensor):
            return Unknown("this model has no stated input")
        value: object = first
        for part in rest:
            value = self.apply(part, [value], {}, node)
        return value

    def set_library_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """Set an attribute of a value that is no instance of the program's classes."""
        line = get_line_number(node)
        is_part = isinstance(value, Call | ModuleSequence | UserInstance)
        match owner:
            case Parameter(layer=layer, role=role):
                if name == "requires_grad":
                    self._set_trainable(layer, value, (role,))
            case Call() | ModuleSequence() | UserInstance() if name == "trainable":
                for layer in self._iter_layers(owner):
                    self._set_trainable(layer, value)
            case ModuleSequence(library="torch") if is_part:
                self.heap.touch(owner)
                owner.cells[name] = value
            case Call() | ModuleSequence():
                if name not in _WEIGHTLESS_NAMES:
                    self.heap.taint(owner, Unknown(f"setting .{name} of a layer cannot be followed", line))
            case SymbolicTensor():
                if name != "requires_grad":
                    self.heap.taint(owner, Unknown(f"setting .{name} of a tensor cannot be followed", line))
            case LibraryName():
                if is_part or isinstance(value, UserFunction | UserClass | LibraryName):
                    raise create_stop_error(line, f"setting .{name} of {owner.name} cannot be followed")
            case Unknown(origin=origin):
                if name in ("trainable", "requires_grad"):
                    for layer in self._iter_layers(origin):
                        self._set_trainable(layer, owner)
                elif origin:
                    self.heap.taint(origin, owner)
                self.heap.taint_reachable([value], Unknown("it becomes part of a value that cannot be followed", line))
                if is_part:
                    self.record_use(owner, node, "changed")

    def _set_trainable(self, layer: Call, value: object, roles: Sequence[str] = ("weight", "bias")) -> None:
        self.heap.touch(layer)
        for role in roles:
            layer.cells["trainable", role] = value

    # Walks over the parts of a network

    def iter_children(self, owner: object) -> Iterator[tuple[str, object]]:
        """Iterate over the direct parts of a module by name, each once, as PyTorch registers them."""
        seen: set[int] = set()
        if isinstance(owner, UserInstance) and owner.base:
            yield from self.iter_children(owner.base)
        if isinstance(owner, ModuleSequence | UserInstance):
            for name, value in owner.cells.items():
                self.heap.charge(1)
                if (
                    isinstance(value, Call | ModuleSequence | UserInstance)
                    and isinstance(name, str)
                    and id(value) not in seen
                ):
                    seen.add(id(value))
                    yield name, value

    def iter_modules(
        self, owner: object, prefix: str = "", seen: set[int] | None = None
    ) -> Iterator[tuple[str, object]]:
        """Iterate over a module and all parts of it by path, each once."""
        seen = set() if seen is None else seen
        if id(owner) in seen:
            return
        seen.add(id(owner))
        yield prefix, owner
        for name, value in self.iter_children(owner):
            yield from self.iter_modules(value, f"{prefix}.{name}" if prefix else name, seen)

    def _iter_layers(self, owner: object) -> Iterator[Call]:
        for _, module in self.iter_modules(owner):
            if isinstance(module, Call):
                yield module
            if isinstance(module, ModuleSequence):
                for part in module.parts:
                    if isinstance(part, SymbolicTensor):
                        yield from (call.owner for call in iter_calls(part.calls))

    def _list_parameters(self, owner: object) -> list[object]:
        """Return names and parameters; layers without weights have one too, which nothing reads."""
        found: list[object] = []
        for path, module in self.iter_modules(owner):
            if taint := self.heap.get_taint(module):
                return [taint]
            if isinstance(module, Call):
                roles = ("weight",) if self._get_argument(module, "bias") is False else ("weight", "bias")
                found += [
                    (f"{path}.{role}" if path else role, Parameter(module, role))
                    for role in roles
                    if has_weights(module)
                ]
        return found

    # Methods

    def call_method(
        self, owner: object, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a method of a layer, a sequence, a tensor or a plain value."""
        if taint := self.heap.get_taint(owner):
            return taint
        match owner:
            case str() | list() | dict() | set() | tuple():
                return call_plain_method(self, owner, name, positional, keywords, node)
            case SymbolicTensor():
                return self._call_tensor_method(owner, name, positional, keywords, node)
            case ExampleTensor():
                if name not in ("view", "reshape"):
                    return owner
                sizes = (
                    positional[0] if len(positional) == 1 and isinstance(positional[0], list | tuple) else positional
                )
                return owner.reshape(sizes)
            case Parameter(layer=layer, role=role):
                if name == "requires_grad_":
                    self._set_trainable(layer, (*positional, *keywords.values(), True)[0], (role,))
                return owner
            case SuperProxy(instance=instance, after=after):
                return self._call_super_method(instance, after, name, positional, keywords, node)
            case Call() | ModuleSequence() | UserInstance():
                return self._call_module_method(owner, name, positional, keywords, node)
            case DictView() | IteratorValue() | int() | float() | None:
                return Unknown(f".{name}(…) cannot be followed")
        return Unknown(f".{name}(…) cannot be followed")

    def _call_super_method(
        self,
        instance: object,
        after: UserClass,
        name: str,
        positional: list[object],
        keywords: dict[str, object],
        node: ast.AST,
    ) -> object:
        if not isinstance(instance, UserInstance):
            return Unknown(f"super().{name}(…) cannot be followed")
        if name == "__init__":
            bases = instance.user_class.library_bases
            if bases:
                self.initialize_base(instance, bases[0], positional, keywords, node)
            return None
        if name in ("forward", "call", "__call__") and instance.base:
            return self.apply(instance.base, positional, keywords, node)
        if name == "build":
            return None
        return self._call_module_method(instance, name, positional, keywords, node)

    def _call_tensor_method(
        self, tensor: SymbolicTensor, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        if name in IDENTITY_METHODS:
            return tensor
        if name in SIZE_METHODS:
            size = self._get_size(tensor) if name == "size" and not keywords else _SIZE
            return size.select(positional[0]) if positional and isinstance(size, TensorSize) else size
        if name == "clone":
            return SymbolicTensor(tensor.calls)
        others = [value for value in (*positional, *keywords.values()) if isinstance(value, SymbolicTensor)]
        if name in ("add", "add_") and len(positional) == 1 and not keywords:
            return self.apply_tensor_operator(ast.Add(), tensor, positional[0], node, is_in_place=name == "add_")
        if others:
            call = Call("several inputs", (), {}, node)
            return self.mutate(tensor, call) if name.endswith("_") else self.extend(tensor, call)
        return self._apply_function(name, "", tensor, positional, keywords, node)

    def _get_size(self, tensor: SymbolicTensor) -> Unknown:
        return TensorSize(_SIZE.reason, is_absent=True, calls=tensor.calls)

    def _call_module_method(
        self,
        owner: Call | ModuleSequence | UserInstance,
        name: str,
        positional: list[object],
        keywords: dict[str, object],
        node: ast.AST,
    ) -> object:
        if name in TRAINING_METHODS and not isinstance(owner, Call):
            self.record_use(owner, node, name)
        if name in ("requires_grad_", "freeze", "unfreeze"):
            value = (*positional, *keywords.values(), True)[0] if name == "requires_grad_" else name == "unfreeze"
            for layer in self._iter_layers(owner):
                self._set_trainable(layer, value)
        if name in IDENTITY_METHODS or name == "requires_grad_":
            return owner
        if name in READING_METHODS or name in ("freeze", "unfreeze"):
            return Unknown(f".{name}(…) is not run here", get_line_number(node), is_absent=True)
        found = self._walk_parts(owner, name, positional, keywords, node)
        if found is not NotImplemented:
            return found
        sequence = owner.base if isinstance(owner, UserInstance) else owner
        if isinstance(sequence, ModuleSequence):
            if taint := self.heap.get_taint(sequence):
                return taint
            self.heap.touch(sequence)
            result = self._edit_sequence(sequence, name, positional, keywords, node)
            if result is not NotImplemented:
                return result
        unknown = Unknown(f"`.{name}(…)` may change it and cannot be followed", get_line_number(node))
        self.heap.taint_reachable([owner, *positional, *keywords.values()], unknown)
        return unknown

    def _walk_parts(
        self, owner: object, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a method that lists or visits parts; NotImplemented for others."""
        match name:
            case "parameters":
                pairs = self._list_parameters(owner)
                return IteratorValue([pair[1] if isinstance(pair, tuple) else pair for pair in pairs])
            case "named_parameters":
                return IteratorValue(self._list_parameters(owner))
            case "children":
                return IteratorValue([value for _, value in self.iter_children(owner)])
            case "named_children":
                return IteratorValue(list(self.iter_children(owner)))
            case "modules":
                return IteratorValue([value for _, value in self.iter_modules(owner)])
            case "named_modules":
                return IteratorValue(list(self.iter_modules(owner)))
            case "apply" if len(positional) == 1:
                for _, module in reversed(list(self.iter_modules(owner))):
                    self.call_value(positional[0], (module,), {}, node)
                return owner
            case "add_module" | "register_module" if isinstance(owner, UserInstance | ModuleSequence):
                key, value = (*positional, *keywords.values())[:2]
                if isinstance(key, str):
                    self.heap.touch(owner)
                    target = (
                        owner.base
                        if isinstance(owner, UserInstance) and isinstance(owner.base, ModuleSequence)
                        else owner
                    )
                    self.heap.touch(target)
                    target.cells[key] = value
                    return None
            case "get_submodule" if len(positional) == 1 and isinstance(positional[0], str):
                return next(
                    (value for path, value in self.iter_modules(owner) if path == positional[0]),
                    Unknown("no such part"),
                )
        return NotImplemented

    def _edit_sequence(
        self, sequence: ModuleSequence, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a method that reads or changes a sequence of modules; NotImplemented for others."""
        cells = sequence.cells
        is_dict = sequence.kind == "ModuleDict"
        given = [*positional, *keywords.values()]
        match name, given:
            case (("append" | "add"), (value,)) if not is_dict and sequence.kind != "Model":
                free = (
                    len(cells) if sequence.library == "torch" else max((int(str(key)) for key in cells), default=-1) + 1
                )
                cells[str(free)] = value
                return sequence if name == "append" else None
            case "extend", (values,) if not is_dict:
                several = self.iterate(values, node)
                if isinstance(several, Unknown):
                    return NotImplemented
                for value in several:
                    cells[str(len(cells))] = value
                return sequence
            case "insert", (int() as index, value) if not is_dict:
                parts = sequence.parts
                if sequence.kind == "Sequential" and not -len(parts) <= index <= len(parts):
                    raise IndexError("the index is out of range")
                parts.insert(index, value)
                sequence.cells = {str(place): part for place, part in enumerate(parts)}
                return sequence
            case "pop", _ if not is_dict and len(given) < 2 and cells:
                key = given[0] if given else -1
                if isinstance(key, int):
                    part = sequence.parts[key]
                    if sequence.library == "torch":
                        self.delete_part(sequence, key, node)
                    else:
                        del cells[list(cells)[key]]
                    return part
            case (("keys" | "values" | "items"), ()) if is_dict:
                return DictView(sequence, name)
            case "pop", (str() as key,) if is_dict:
                return cells.pop(key)
            case "update", (dict() as added,) if is_dict:
                cells.update(added)
                return None
            case "clear", ():
                cells.clear()
                return None
            case "build", (tuple() | list() as shape,):
                first = sequence.parts[0] if sequence.parts else None
                if sequence.library == "keras" and sequence.kind == "Sequential" and not _is_input(first):
                    call = Call("Input", (), {"batch_shape": tuple(shape)}, node, library="keras")
                    sequence.cells = {"-1": SymbolicTensor((call,)), **cells}
                return None
            case "get_layer", _:
                return Unknown("get_layer(…) cannot be followed", origin=sequence)
        return NotImplemented

    # Built-in functions on objects

    def call_object_builtin(
        self, name: str, positional: list[object], keywords: dict[str, object], node: ast.AST
    ) -> object:
        """Call a built-in function, some of which know objects."""
        match name, positional:
            case "print", _:
                for value in positional:
                    if isinstance(value, UserInstance | ModuleSequence):
                        self.record_use(value, node, "printed")
                return None
            case "super", ():
                frame = self.frames[-1] if self.frames else None
                if frame and frame.function and frame.function.owner:
                    return SuperProxy(frame.first_argument, frame.function.owner)
                return Unknown("super() cannot be followed here")
            case "super", (UserClass() as user_class, UserInstance() as instance):
                return SuperProxy(instance, user_class)
            case "getattr", (owner, str() as attribute):
                return self.get_attribute(owner, attribute, node)
            case "getattr", (owner, str() as attribute, default):
                has = self._has_attribute(owner, attribute, node)
                return self.get_attribute(owner, attribute, node) if has is True else default if has is False else has
            case "hasattr", (owner, str() as attribute):
                return self._has_attribute(owner, attribute, node)
            case "setattr", (owner, str() as attribute, value):
                self.set_attribute(owner, attribute, value, node)
                return None
            case (("setattr" | "delattr"), (owner, *_)):
                self.heap.taint(
                    owner, find_unknown(positional) or Unknown(f"{name}(…) cannot be followed", get_line_number(node))
                )
                return None
            case "isinstance", (value, classes):
                return self.is_instance(value, classes)
            case "issubclass", (UserClass() as first, UserClass() as second):
                return second in first.mro
            case "callable", (UserFunction() | UserClass() | LibraryName() | Call() | Partial() | BoundMethod(),):
                return True
            case "type", (UserInstance(user_class=user_class),):
                return user_class
            case "type", (Call(name=kind, library=library),):
                return LibraryName(kind, library)
            case "object", ():
                return Partial(None, (), {})
            case "functools.partial", (function, *given):
                return Partial(function, tuple(given), keywords)
            case (("copy.deepcopy" | "copy.copy"), (value,)):
                return self._copy(value, {}, is_deep=name.endswith("deepcopy"))
        return call_builtin(self, name, positional, keywords, node)

    def _has_attribute(self, owner: object, name: str, node: ast.AST) -> bool | Unknown:
        if isinstance(owner, Unknown):
            return owner
        if isinstance(owner, UserInstance):
            if name in owner.cells or owner.user_class.find(name)[1]:
                return True
            return (
                Unknown(f"hasattr(…, {name!r}) cannot be decided here") if owner.base or name == "training" else False
            )
        if isinstance(owner, UserClass):
            return bool(owner.find(name)[1]) or Unknown("hasattr(…) cannot be decided here")
        if isinstance(owner, Call) and name in ("weight", "bias"):
            return isinstance(self._get_layer_attribute(owner, name), Parameter) if has_weights(owner) else False
        return Unknown(f"hasattr(…, {name!r}) cannot be decided here")

    def _copy(self, value: object, memo: dict[int, object], *, is_deep: bool) -> object:
        """Return a copy of lists, layers and instances; other values never change."""
        self.heap.charge(1)
        if taint := self.heap.get_taint(value):
            return taint
        if id(value) in memo:
            return memo[id(value)]

        def copy_inner(inner: object) -> object:
            return self._copy(inner, memo, is_deep=True) if is_deep else inner

        copy: object = value
        match value:
            case list() | tuple() | set():
                copy = type(value)([copy_inner(inner) for inner in value])
            case dict():
                copy = {key: copy_inner(inner) for key, inner in value.items()}
            case Call():
                copy = Call(
                    value.name,
                    value.positional,
                    value.keywords,
                    value.node,
                    library=value.library,
                    cells=dict(value.cells),
                )
            case ModuleSequence():
                copy = ModuleSequence(value.kind, value.node, value.library)
                copy.cells = {key: copy_inner(inner) for key, inner in value.cells.items()}
                self.record_network(copy, value.node)
            case UserInstance():
                copy = UserInstance(value.user_class)
                memo[id(value)] = copy
                copy.cells = {key: copy_inner(inner) for key, inner in value.cells.items()}
                self.record_network(copy, value.user_class.node)
            case SymbolicTensor() | IteratorValue() | DictView():
                return Unknown("this copy cannot be followed")
        memo[id(value)] = copy
        return copy


def _is_input(part: object) -> bool:
    """Return True for the input of a Keras model."""
    if isinstance(part, SymbolicTensor):
        return len(part.calls) == 1 and part.calls[0].name == "Input"
    return isinstance(part, Call) and part.name == "InputLayer"


def has_weights(layer: Call) -> bool:
    """Return True for a layer with weights."""
    return layer.name.removeprefix("Lazy").startswith(
        ("Conv", "Linear", "BatchNorm", "GroupNorm", "LayerNorm", "Dense", "Separable", "Depthwise")
    )
