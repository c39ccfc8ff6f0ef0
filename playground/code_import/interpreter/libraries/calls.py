"""Calls: of the program's functions and classes, of PyTorch and Keras, and of code that is not here."""

import ast
from collections.abc import Sequence
from dataclasses import replace

from playground.code_import.interpreter.builtin_functions import BUILTIN_NAMES, call_builtin
from playground.code_import.interpreter.libraries.names import (
    IDENTITY_FUNCTIONS,
    TRAINING_METHODS,
    USUAL_NAMES,
    find_model_collection,
    get_library,
    is_reading_call,
)
from playground.code_import.interpreter.libraries.sequences import SEQUENCE_KINDS, SequenceEvaluator
from playground.code_import.interpreter.libraries.tensors import SIZE
from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    CallSite,
    ExampleTensor,
    LibraryName,
    ModuleSequence,
    Partial,
    Scope,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
)

_EXAMPLE_FUNCTIONS = ("randn", "rand", "zeros", "ones")


class CallEvaluator(SequenceEvaluator):
    """Calls values."""

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

    def call_value(self, function: object, site: CallSite) -> object:
        """Call a value."""
        self.heap.charge(1)
        match function:
            case UserFunction():
                return self.call_function(function, site)
            case UserClass():
                return self.instantiate(function, site)
            case Partial(function=inner, positional=positional, keywords=keywords):
                return self.call_value(
                    inner, replace(site.prepend(*positional), keywords={**keywords, **site.keywords})
                )
            case BoundMethod(owner=owner, function=UserFunction() as method):
                return self.call_function(method, site.prepend(owner))
            case BoundMethod(owner=owner, function=str() as name):
                return self.call_method(owner, name, site)
            case UserInstance() | Call() | ModuleSequence() | SymbolicTensor():
                if isinstance(function, UserInstance | ModuleSequence):
                    self.record_use(function, site.node, "called")
                self.apply_depth += 1
                try:
                    return self.apply(function, site)
                finally:
                    self.apply_depth -= 1
            case LibraryName():
                return self._call_library(function, site)
            case Unknown():
                return self._call_unknown(function, site)
        return Unknown("this call cannot be followed")

    def _call_unknown(self, function: Unknown, site: CallSite) -> Unknown:
        """Call code that is not here: what it could change becomes unknown."""
        callee = site.node.func if isinstance(site.node, ast.Call) else None
        name = ast.unparse(callee) if callee else ""
        is_reading = is_reading_call(name.rpartition(".")[2], "")
        changed = Unknown(f"`{name[:40]}(…)` is not in this code and may change it", site.line)
        self.heap.taint_reachable(site.values, changed, with_networks=not is_reading)
        self.unknown_call_count += 1
        training_methods = ("parameters", "summary") if function.is_absent else TRAINING_METHODS
        if isinstance(callee, ast.Attribute) and callee.attr in training_methods and not site.networks:
            self.record_use(function, site.node, callee.attr)
        for network in site.networks:
            self.record_use(network, site.node, "passed on")
        if site.networks and is_reading and name.isidentifier() and not name.startswith("summar"):
            self.notes.append(
                f"Line {site.line}: `{name}` is not in this code; it is assumed to leave the layers as they are."
            )
        return function

    def _call_library(self, function: LibraryName, site: CallSite) -> object:
        name, short_name, first = function.name, function.short_name, site.first
        if function.library == "builtins":
            return self.call_object_builtin(name, site)
        if (
            function.library == "torch"
            and short_name in _EXAMPLE_FUNCTIONS
            and (example := _make_example(short_name, site))
        ):
            return example
        if collection := find_model_collection(name):
            return self._name_ready_made_network(short_name, collection, site)
        if name in BUILTIN_NAMES:  # ``numpy.prod``
            return call_builtin(self, name, site)
        if short_name in IDENTITY_FUNCTIONS and site.positional and not isinstance(first, SymbolicTensor):
            is_range = short_name in ("trange", "prange")
            return self.call_object_builtin("range", CallSite(site.node, site.positional)) if is_range else first
        if short_name == "compile" and isinstance(first, UserInstance | ModuleSequence | Call | UserFunction):
            return first
        if function.library in ("torch", "keras", ""):
            found = self._create_library_object(function, site)
            if found is not NotImplemented:
                return found
        self.unknown_call_count += 1
        if not is_reading_call(name, function.library):
            changed = Unknown(f"`{short_name}(…)` may change it and cannot be followed", site.line)
            self.heap.taint_reachable(site.values, changed)
        for network in site.networks:
            self.record_use(network, site.node, "passed on")
        not_run = Unknown(f"`{ast.unparse(site.node)[:50]}` is not run here", site.line, is_absent=True)
        return find_unknown(site.values) or not_run

    def _name_ready_made_network(self, name: str, collection: str, site: CallSite) -> Unknown:
        """Return the unknown value of a network whose layers are not in the code; its name may be an argument."""
        is_named = collection in ("timm", "PyTorch Hub")
        names = [name, *(value for value in site.positional if is_named and isinstance(value, str))]
        network = Unknown(
            f"{names[-1][:40]} is a network of {collection}, whose layers are not in this code; the Data page can "
            "extract features with a pretrained network instead",
            site.line,
        )
        self.record_use(network, site.node, "assigned")
        return network

    def _create_library_object(self, function: LibraryName, site: CallSite) -> object:
        """Make a layer, a sequence or a tensor, or record an operation; NotImplemented for other functions."""
        name, library = function.short_name, function.library
        if name in SEQUENCE_KINDS:
            return self.create_sequence(name, library, site)
        if name in ("Model", "Functional") and (len(site.positional) > 1 or site.keywords):
            return self.create_functional_model(site)
        if name == "Input":
            return SymbolicTensor((self.make_call(name, "keras", site),))
        if name == "image_data_format":
            return "channels_last"
        tensors = site.tensors
        if isinstance(target := site.keywords.get("out"), SymbolicTensor):
            self.heap.taint(target, Unknown(f"`{name}(…)` writes its result into a tensor", site.line))
        if name in ("shape", "rank", "size") and tensors:
            return SIZE
        if name == "add" and len(tensors) > 1:
            return self.add_branches(tensors, site.node)
        if len(tensors) > 1:
            return self.extend(tensors[0], Call("several inputs", (), {}, site.node, library=library))
        if tensors and not name[:1].isupper():
            return self.apply_function(name, library, tensors[0], site)
        if name[:1].isupper():
            call = self.make_call(name, library, site)
            return self.apply_layer(call, tensors[0], CallSite(site.node)) if tensors else call
        return NotImplemented

    def initialize_base(self, instance: UserInstance, base: LibraryName, site: CallSite) -> None:
        """Call the constructor of a library's class for an instance of a derived class."""
        name = base.short_name
        if name in ("Module", "LightningModule", "Layer", "Model") and not (
            site.positional or set(site.keywords) & {"inputs", "outputs"}
        ):
            if "trainable" in site.keywords:
                instance.cells["trainable"] = site.keywords["trainable"]
            return
        if name.endswith(("Error", "Exception")) or name == "object":
            return
        made = self._create_library_object(base, site)
        self.networks = [entry for entry in self.networks if entry[0] is not made]
        if isinstance(made, Call | ModuleSequence):
            self.heap.touch(instance)
            instance.base = made
        elif isinstance(made, Unknown):
            self.heap.taint(instance, made)


def _make_example(name: str, site: CallSite) -> ExampleTensor | None:
    """Return a tensor of known shape and unknown values; None for other functions."""
    if name not in _EXAMPLE_FUNCTIONS:
        return None
    sizes = site.keywords.get("size", site.first if len(site.positional) == 1 else site.positional)
    several: Sequence[object] = sizes if isinstance(sizes, list | tuple) else (sizes,)
    shape = tuple(size for size in several if isinstance(size, int) and size > 0)
    if not shape or len(shape) < len(several):
        return None
    return ExampleTensor(f"`{name}(…)` is data", site.line, is_absent=True, shape=shape)
