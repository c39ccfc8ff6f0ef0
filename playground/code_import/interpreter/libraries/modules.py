"""Attributes and methods of layers, sequences of modules, tensors and parameters, and built-in functions on them."""

import ast

from playground.code_import.interpreter.builtin_functions import call_builtin, get_library_constant
from playground.code_import.interpreter.heap import create_stop_error
from playground.code_import.interpreter.libraries.calls import CallEvaluator
from playground.code_import.interpreter.libraries.names import (
    IDENTITY_METHODS,
    READING_METHODS,
    SIZE_ATTRIBUTES,
    TRAINING_METHODS,
    WALKING_METHODS,
    WEIGHTLESS_ATTRIBUTES,
)
from playground.code_import.interpreter.libraries.sequences import has_weights, is_input
from playground.code_import.interpreter.libraries.tensors import SIZE, find_argument, get_argument_names, get_size
from playground.code_import.interpreter.plain_methods import call_plain_method
from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    CallSite,
    DictView,
    ExampleTensor,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Parameter,
    Partial,
    SuperProxy,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
)


class ModuleEvaluator(CallEvaluator):
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
                    return get_size(owner) if name == "shape" else SIZE
                if name in ("T", "mT", "real", "data"):
                    return self.extend(owner, Call(name, (), {}, node))
            case Parameter() if name != "requires_grad_":
                return Unknown("it depends on the weights")
        return BoundMethod(owner, name)

    def _get_layer_attribute(self, layer: Call, name: str) -> object:
        if name in layer.cells:
            return layer.cells[name]
        if name in ("weight", "bias", "kernel"):
            return None if name == "bias" and find_argument(layer, name) is False else Parameter(layer, name)
        if name in ("trainable", "training"):
            return True if name == "trainable" else self.training
        value = find_argument(layer, name)
        if value is not NotImplemented:
            return value
        if name in get_argument_names(layer):
            return Unknown(f"the default of {name} is not known here")
        if name in IDENTITY_METHODS | READING_METHODS | WALKING_METHODS or name.startswith("named_"):
            return BoundMethod(layer, name)
        if name == "__class__":
            return LibraryName(layer.name, layer.library)
        return Unknown(f".{name} of {layer.name} is not known here")

    def _get_sequence_attribute(self, owner: ModuleSequence, name: str, node: ast.AST) -> object:
        if name in owner.cells:
            return owner.cells[name]
        match name:
            case "layers" if owner.kind == "Sequential":
                return [part for part in owner.parts if not is_input(part)]
            case "layers" if owner.kind == "Model" and isinstance(owner.parts[0], SymbolicTensor):
                flat = [one for call in owner.parts[0].calls for one in (*call.body, call)]
                if any(call.shortcut for call in flat):
                    return Unknown("the order of this model's layers is not known here", origin=owner)
                return [call.owner for call in flat]
            case "output" | "outputs" if owner.library == "keras":
                first, *rest = owner.parts or [None]
                if not isinstance(first, SymbolicTensor):
                    return Unknown("this model has no stated input")
                value: object = first
                for part in rest:
                    value = self.apply(part, CallSite(node, (value,)))
                return value
            case "input" | "inputs" if owner.library == "keras" and owner.parts:
                first = owner.parts[0]
                calls = first.calls[:1] if isinstance(first, SymbolicTensor) else ()
                is_known = bool(calls) and calls[0].name == "Input"
                return SymbolicTensor(calls) if is_known else Unknown("this input is not known here")
            case "training":
                return self.training
            case "layers" | "output" | "outputs" | "input" | "inputs" | "trainable" | "weights" | "_modules":
                return Unknown(f".{name} of a model cannot be followed", origin=owner)
        return BoundMethod(owner, name)

    def set_library_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """Set an attribute of a value that is no instance of the program's classes."""
        line = get_line_number(node)
        is_part = isinstance(value, Call | ModuleSequence | UserInstance)
        match owner:
            case Parameter(layer=layer, role=role):
                if name == "requires_grad":
                    self._set_trainable(layer, value, role)
            case Call() | ModuleSequence() | UserInstance() if name == "trainable":
                for layer in self.iter_layers(owner):
                    self._set_trainable(layer, value)
            case ModuleSequence(library="torch") if is_part:
                self.heap.touch(owner)
                owner.cells[name] = value
            case Call() | ModuleSequence():
                if name not in WEIGHTLESS_ATTRIBUTES:
                    self.heap.taint(owner, Unknown(f"setting .{name} of a layer cannot be followed", line))
            case SymbolicTensor():
                if name != "requires_grad":
                    self.heap.taint(owner, Unknown(f"setting .{name} of a tensor cannot be followed", line))
            case LibraryName():
                if is_part or isinstance(value, UserFunction | UserClass | LibraryName):
                    raise create_stop_error(line, f"setting .{name} of {owner.name} cannot be followed")
            case Unknown(origin=origin):
                if name in ("trainable", "requires_grad"):
                    for layer in self.iter_layers(origin):
                        self._set_trainable(layer, owner)
                elif origin:
                    self.heap.taint(origin, owner)
                self.heap.taint_reachable([value], Unknown("it becomes part of a value that cannot be followed", line))
                if is_part:
                    self.record_use(owner, node, "changed")

    def _set_trainable(self, layer: Call, value: object, *roles: str) -> None:
        self.heap.touch(layer)
        for role in roles or ("weight", "bias"):
            layer.cells["trainable", role] = value

    # Methods

    def call_method(self, owner: object, name: str, site: CallSite) -> object:
        """Call a method of a layer, a sequence, a tensor or a plain value."""
        if taint := self.heap.get_taint(owner):
            return taint
        match owner:
            case str() | list() | dict() | set() | tuple():
                return call_plain_method(self, owner, name, site)
            case SymbolicTensor():
                return self.call_tensor_method(owner, name, site)
            case ExampleTensor() if name in ("view", "reshape"):
                is_one = len(site.positional) == 1 and isinstance(site.first, list | tuple)
                return owner.reshape(site.first if is_one and isinstance(site.first, list | tuple) else site.positional)
            case ExampleTensor():
                return owner
            case Parameter(layer=layer, role=role):
                if name == "requires_grad_":
                    self._set_trainable(layer, (*site.values, True)[0], role)
                return owner
            case SuperProxy(instance=UserInstance() as instance):
                return self._call_super_method(instance, name, site)
            case Call() | ModuleSequence() | UserInstance():
                return self._call_module_method(owner, name, site)
        return Unknown(f".{name}(…) cannot be followed")

    def _call_super_method(self, instance: UserInstance, name: str, site: CallSite) -> object:
        if name == "__init__":
            bases = instance.user_class.library_bases
            if bases:
                self.initialize_base(instance, bases[0], site)
            return None
        if name in ("forward", "call", "__call__") and instance.base:
            return self.apply(instance.base, site)
        return None if name == "build" else self._call_module_method(instance, name, site)

    def _call_module_method(self, owner: Call | ModuleSequence | UserInstance, name: str, site: CallSite) -> object:
        if name in TRAINING_METHODS and not isinstance(owner, Call):
            self.record_use(owner, site.node, name)
        if name in ("requires_grad_", "freeze", "unfreeze"):
            value = (*site.values, True)[0] if name == "requires_grad_" else name == "unfreeze"
            for layer in self.iter_layers(owner):
                self._set_trainable(layer, value)
        if name in IDENTITY_METHODS:
            return owner
        if name in READING_METHODS or name in ("freeze", "unfreeze"):
            return Unknown(f".{name}(…) is not run here", site.line, is_absent=True)
        found = self.walk_parts(owner, name, site)
        if found is not NotImplemented:
            return found
        sequence = owner.base if isinstance(owner, UserInstance) else owner
        if isinstance(sequence, ModuleSequence):
            if taint := self.heap.get_taint(sequence):
                return taint
            self.heap.touch(sequence)
            result = self.edit_sequence(sequence, name, site)
            if result is not NotImplemented:
                return result
        unknown = Unknown(f"`.{name}(…)` may change it and cannot be followed", site.line)
        self.heap.taint_reachable([owner, *site.values], unknown)
        return unknown

    # Built-in functions on objects

    def call_object_builtin(self, name: str, site: CallSite) -> object:
        """Call a built-in function, some of which know objects."""
        match name, site.positional:
            case "print", _:
                for network in site.networks:
                    self.record_use(network, site.node, "printed")
                return None
            case "super", ():
                frame = self.frames[-1] if self.frames else None
                if frame and frame.function and frame.function.owner:
                    return SuperProxy(frame.first_argument, frame.function.owner)
                return Unknown("super() cannot be followed here")
            case "super", (UserClass() as user_class, UserInstance() as instance):
                return SuperProxy(instance, user_class)
            case "getattr", (owner, str() as attribute, *default):
                has = self._has_attribute(owner, attribute, site.node) if default else True
                if has is True:
                    return self.get_attribute(owner, attribute, site.node)
                return default[0] if has is False else has
            case "hasattr", (owner, str() as attribute):
                return self._has_attribute(owner, attribute, site.node)
            case "setattr", (owner, str() as attribute, value):
                self.set_attribute(owner, attribute, value, site.node)
                return None
            case (("setattr" | "delattr"), (owner, *_)):
                unknown = Unknown(f"{name}(…) cannot be followed", site.line)
                self.heap.taint(owner, find_unknown(site.positional) or unknown)
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
                return Partial(function, tuple(given), dict(site.keywords))
            case (("copy.deepcopy" | "copy.copy"), (value,)):
                return self._copy(value, {}, is_deep=name.endswith("deepcopy"))
        return call_builtin(self, name, site)

    def _has_attribute(self, owner: object, name: str, node: ast.AST) -> bool | Unknown:
        undecided = Unknown(f"hasattr(…, {name!r}) cannot be decided here")
        match owner:
            case Unknown():
                return owner
            case UserInstance():
                if name in owner.cells or owner.user_class.find(name)[1]:
                    return True
                return undecided if owner.base or name == "training" else False
            case UserClass():
                return bool(owner.find(name)[1]) or undecided
            case Call() if name in ("weight", "bias"):
                return isinstance(self._get_layer_attribute(owner, name), Parameter) if has_weights(owner) else False
        return undecided

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
                copy = Call(value.name, value.positional, value.keywords, value.node, library=value.library)
                copy.cells.update(value.cells)
            case ModuleSequence() | UserInstance():
                copy = (
                    UserInstance(value.user_class)
                    if isinstance(value, UserInstance)
                    else ModuleSequence(value.kind, value.node, value.library)
                )
                memo[id(value)] = copy
                copy.cells = {key: copy_inner(inner) for key, inner in value.cells.items()}
                self.record_network(copy, value.user_class.node if isinstance(value, UserInstance) else value.node)
            case SymbolicTensor() | IteratorValue() | DictView():
                return Unknown("this copy cannot be followed")
        memo[id(value)] = copy
        return copy
