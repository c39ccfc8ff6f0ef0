"""Sequences of modules and Keras models: creation, parts, edits and walks."""

import ast
from collections.abc import Iterator

from playground.code_import.interpreter.builtin_functions import make_dict
from playground.code_import.interpreter.evaluator import Use
from playground.code_import.interpreter.heap import create_too_long_error
from playground.code_import.interpreter.libraries.tensors import TensorEvaluator, find_argument
from playground.code_import.interpreter.values import (
    Call,
    CallSite,
    DictView,
    IteratorValue,
    LibraryName,
    ModuleSequence,
    Network,
    Parameter,
    SymbolicTensor,
    Unknown,
    UserFunction,
    UserInstance,
    find_unknown,
    get_line_number,
    iter_calls,
    split_common_prefix,
)

_MAX_NETWORKS = 2_000
SEQUENCE_KINDS = ("Sequential", "ModuleList", "ModuleDict")
_PARTS = (Call, SymbolicTensor, UserInstance, ModuleSequence, LibraryName, UserFunction)


def is_input(part: object) -> bool:
    """Return True for the input of a Keras model."""
    if isinstance(part, SymbolicTensor):
        return len(part.calls) == 1 and part.calls[0].name == "Input"
    return isinstance(part, Call) and part.name == "InputLayer"


def has_weights(layer: Call) -> bool:
    """Return True for a layer with weights."""
    return layer.name.removeprefix("Lazy").startswith(
        ("Conv", "Linear", "BatchNorm", "GroupNorm", "LayerNorm", "Dense", "Separable", "Depthwise")
    )


def _number_parts(parts: list[object]) -> dict[object, object]:
    return {str(index): part for index, part in enumerate(parts)}


class SequenceEvaluator(TensorEvaluator):
    """Makes, edits and walks through sequences of modules."""

    def record_use(self, value: object, node: ast.AST, kind: str) -> None:
        """Record that the program uses a network; what a network does to its own parts tells nothing."""
        self.heap.charge(1)
        if not self.apply_depth:
            self.uses.append(Use(value, node, kind, self.heap.is_speculating))

    def record_network(self, value: Network, node: ast.AST) -> None:
        """Record a network that the program made."""
        if not self.apply_depth:
            self.networks.append((value, node, self.heap.is_speculating))
        if len(self.networks) > _MAX_NETWORKS:
            raise create_too_long_error()

    # Creation

    def create_sequence(self, kind: str, library: str, site: CallSite) -> object:
        """Make a ``Sequential``, ``ModuleList`` or ``ModuleDict``."""
        given = [*site.positional, *([site.keywords["layers"]] if "layers" in site.keywords else [])]
        if unknown := next((value for value in given if isinstance(value, Unknown)), None):
            self.record_use(unknown, site.node, "assigned")
            return Unknown(unknown.reason, unknown.line)
        first = given[0] if given else None
        is_torch = library == "torch" or (not library and not (isinstance(first, list) and kind == "Sequential"))
        sequence = ModuleSequence(kind, site.node, "torch" if is_torch and (library or first) else library or "keras")
        if len(given) == 1 and isinstance(first, dict):
            sequence.cells = dict(first)
        elif len(given) == 1 and not isinstance(first, _PARTS):
            values = make_dict(self, site) if kind == "ModuleDict" else self.iterate(first, site.node)
            if isinstance(values, Unknown):
                self.record_use(values, site.node, "assigned")
                return values
            sequence.cells = values if isinstance(values, dict) else _number_parts(values)
        elif len(given) == 1 and kind == "ModuleList" and isinstance(first, ModuleSequence):
            sequence.cells = _number_parts(first.parts)
        else:
            sequence.cells = _number_parts(given)
        self.heap.charge(len(sequence.cells))
        if kind == "Sequential":
            self.record_network(sequence, site.node)
        return sequence

    def create_functional_model(self, site: CallSite) -> object:
        """Make a Keras model from its inputs and outputs."""
        first, second = (*site.positional, None, None)[:2]
        start = site.keywords.get("inputs", site.keywords.get("input", first))
        end = site.keywords.get("outputs", site.keywords.get("output", second))
        starts, ends = (CallSite(site.node, (value,)).tensors for value in (start, end))
        if len(starts) != 1 or not ends:
            unknown = find_unknown([start, end]) or Unknown("a model with several inputs is not supported")
            self.record_use(unknown, site.node, "assigned")
            return unknown
        shared, rests = split_common_prefix([starts[0], ends[0]])
        if rests[0]:
            return Unknown("the outputs of this model do not depend on its inputs")
        kept = shared if len(shared) == 1 else ()
        if len(ends) > 1:
            self.notes.append("The network returns several values; only the first is used.")
        model = ModuleSequence("Model", site.node, "keras", {"0": SymbolicTensor((*kept, *rests[1]))})
        self.record_network(model, site.node)
        return model

    # Parts

    def get_part(self, sequence: ModuleSequence, key: object, node: ast.AST) -> object:
        """Return a part or a slice of a sequence of modules."""
        names = list(sequence.cells)
        match key:
            case Unknown():
                return key
            case str():
                return sequence.cells[key]
            case int():
                return sequence.cells[names[key]]
            case slice():
                chosen = {name: sequence.cells[name] for name in names[key]}
                if sequence.kind != "Sequential":
                    chosen = _number_parts(list(chosen.values()))
                part = ModuleSequence(sequence.kind, node, sequence.library, chosen)
                if sequence.kind == "Sequential":
                    self.record_network(part, node)
                return part
        return Unknown("this item of a sequence of modules cannot be followed")

    def set_part(self, sequence: ModuleSequence, key: object, value: object, node: ast.AST) -> None:
        """Evaluate ``net[3] = layer``."""
        self.heap.touch(sequence)
        if isinstance(key, str) and sequence.kind == "ModuleDict":
            sequence.cells[key] = value
        elif isinstance(key, int):
            sequence.cells[list(sequence.cells)[key]] = value
        else:
            unknown = Unknown("this change of the network cannot be followed", get_line_number(node))
            self.heap.taint(sequence, find_unknown([key]) or unknown)

    def delete_part(self, sequence: ModuleSequence, key: object, node: ast.AST) -> None:
        """Evaluate ``del net[3]``; the others are numbered again."""
        names = list(sequence.cells)
        self.heap.touch(sequence)
        if isinstance(key, int | slice):
            removed = names[key] if isinstance(key, slice) else [names[key]]
            sequence.cells = _number_parts([part for name, part in sequence.cells.items() if name not in removed])
        elif isinstance(key, str):
            del sequence.cells[key]
        else:
            self.heap.taint(sequence, Unknown("this change of the network cannot be followed", get_line_number(node)))

    def edit_sequence(self, sequence: ModuleSequence, name: str, site: CallSite) -> object:
        """Call a method that reads or changes a sequence of modules; NotImplemented for others."""
        cells = sequence.cells
        is_dict, is_torch = sequence.kind == "ModuleDict", sequence.library == "torch"
        given = site.values
        match name, given:
            case (("append" | "add"), (value,)) if not is_dict and sequence.kind != "Model":
                free = len(cells) if is_torch else max((int(str(key)) for key in cells), default=-1) + 1
                cells[str(free)] = value
                return sequence if name == "append" else None
            case "extend", (values,) if not is_dict:
                several = self.iterate(values, site.node)
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
                sequence.cells = _number_parts(parts)
                return sequence
            case "pop", _ if not is_dict and len(given) < 2 and cells:
                key = given[0] if given else -1
                if isinstance(key, int):
                    part = sequence.parts[key]
                    if is_torch:
                        self.delete_part(sequence, key, site.node)
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
                if sequence.library == "keras" and sequence.kind == "Sequential" and not is_input(first):
                    call = Call("Input", (), {"batch_shape": tuple(shape)}, site.node, library="keras")
                    sequence.cells = {"-1": SymbolicTensor((call,)), **cells}
                return None
            case "get_layer", _:
                return Unknown("get_layer(…) cannot be followed", origin=sequence)
        return NotImplemented

    # Walks

    def iter_children(self, owner: object) -> Iterator[tuple[str, object]]:
        """Iterate over the direct parts of a module by name, each once, as PyTorch registers them."""
        seen: set[int] = set()
        if isinstance(owner, UserInstance) and owner.base:
            yield from self.iter_children(owner.base)
        if isinstance(owner, ModuleSequence | UserInstance):
            for name, value in owner.cells.items():
                self.heap.charge(1)
                is_part = isinstance(value, Call | ModuleSequence | UserInstance)
                if is_part and isinstance(name, str) and id(value) not in seen:
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

    def iter_layers(self, owner: object) -> Iterator[Call]:
        """Iterate over the layers of a module."""
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
            if isinstance(module, Call) and has_weights(module):
                roles = ("weight",) if find_argument(module, "bias") is False else ("weight", "bias")
                found += [(f"{path}.{role}" if path else role, Parameter(module, role)) for role in roles]
        return found

    def walk_parts(self, owner: object, name: str, site: CallSite) -> object:
        """Call a method that lists or visits parts; NotImplemented for others."""
        match name:
            case "parameters" | "named_parameters":
                pairs = self._list_parameters(owner)
                if name == "parameters":
                    pairs = [pair[1] if isinstance(pair, tuple) else pair for pair in pairs]
                return IteratorValue(pairs)
            case "children" | "named_children" | "modules" | "named_modules":
                found = list(self.iter_children(owner) if "children" in name else self.iter_modules(owner))
                return IteratorValue([*found] if name.startswith("named") else [value for _, value in found])
            case "apply" if len(site.positional) == 1:
                for _, module in reversed(list(self.iter_modules(owner))):
                    self.call_value(site.first, CallSite(site.node, (module,)))
                return owner
            case "add_module" | "register_module" if isinstance(owner, UserInstance | ModuleSequence):
                key, value = site.values[:2]
                if isinstance(key, str):
                    base = owner.base if isinstance(owner, UserInstance) else None
                    target = base if isinstance(base, ModuleSequence) else owner
                    self.heap.touch(target)
                    target.cells[key] = value
                    return None
            case "get_submodule" if isinstance(site.first, str):
                missing = Unknown("no such part")
                return next((value for path, value in self.iter_modules(owner) if path == site.first), missing)
        return NotImplemented
