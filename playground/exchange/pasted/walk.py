"""Walks pasted code without running it, as a reader does: what do the names hold, and where does one image go?

It knows assignments, arithmetic of small numbers, functions, classes with a ``forward``, and short loops; everything
else is ``Unknown`` and passed over. What it meets with on the image's way is kept as a Call, to be judged by its name.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from playground.errors import ArchitectureError
from playground.exchange.pasted.values import (
    LONGEST_LIST,
    Call,
    Class,
    Flow,
    Function,
    Instance,
    Method,
    Scope,
    Stack,
    Unknown,
    built_in,
    child,
    combined,
    compared,
    is_layer,
    item,
    joined,
    line_of,
    literal,
    truth,
)

_MOST_STEPS = 300_000
_MOST_CALLS = 300
_MOST_ROUNDS = 64
_DEEPEST = 24
_GOES_ON = object()
_BUILT_IN = {"range", "len", "int", "float", "dict"}
_FORWARD = ("forward", "call")
_ITSELF = {"to", "cuda", "cpu", "eval", "train", "float", "double", "type", "contiguous", "clone", "requires_grad_"}
_SIZES = {"size", "dim", "numel", "item", "shape"}


@dataclass(frozen=True)
class Model:
    """A network that the code makes: where it stands, what an image goes through, and what the walk had to guess."""

    line: int
    calls: tuple[Call, ...]
    guesses: tuple[str, ...]


def walk(tree: ast.Module) -> tuple[Model, ...]:
    """Every network that the code makes; raises ArchitectureError for code that goes on and on."""
    walker = _Walker()
    walker.module(tree)
    return tuple(walker.models())


class _Walker:
    def __init__(self) -> None:
        self._steps = 0
        self._depth = 0
        self._undecided = 0  # the line of the condition or loop that may not be gone through as it is walked
        self._grown = 0  # parts that were added to networks and lists so far
        self._doubts: dict[Call, str] = {}
        self._entered: set[ast.AST] = set()
        self._stacks: list[Stack] = []
        self._instances: list[Instance] = []
        self._ends: list[tuple[ast.AST, Flow]] = []
        self._seen: dict[ast.AST, Class | Function] = {}

    def module(self, tree: ast.Module) -> None:
        """Walk the text, then whatever it defines and never uses: a tutorial's last line is often not pasted."""
        self._run(tree.body, {"__name__": "__main__"})
        for node, value in list(self._seen.items()):
            if node in self._entered:
                continue
            if isinstance(value, Function):
                self._invoked(value, (), {})
            elif value.method(*_FORWARD):
                self._made(value, (), {})
            else:
                for method in value.node.body:
                    if isinstance(method, ast.FunctionDef):
                        self._invoked(Function(method, value.scope), (), {})

    def models(self) -> Iterator[Model]:
        """What an image goes through in every network, each followed to its end."""
        for stack in self._stacks:
            yield self._model(stack.node, self._through(stack, Flow(), stack.node))
        for node, flow in self._ends:
            yield self._model(node, flow)
        for instance in list(self._instances):
            if instance.kind.method(*_FORWARD):
                yield self._model(instance.kind.node, self._through(instance, Flow(), instance.kind.node))

    def _model(self, node: ast.AST, flow: Flow) -> Model:
        every = [part for call in flow.calls for part in (call, *call.body, *call.shortcut)]
        return Model(line_of(node), flow.calls, tuple(self._doubts[call] for call in every if call in self._doubts))

    # Statements

    def _run(self, body: Sequence[ast.stmt], scope: Scope) -> object:
        """What a ``return`` gives back, or ``_GOES_ON``."""
        for statement in body:
            result = self._statement(statement, scope)
            if result is not _GOES_ON:
                return result
        return _GOES_ON

    def _statement(self, statement: ast.stmt, scope: Scope) -> object:
        match statement:
            case ast.Assign(targets=targets, value=node):
                value = self._value(node, scope)
                for target in targets:
                    self._assign(target, value, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as node):
                self._assign(target, self._value(node, scope), scope)
            case ast.AugAssign(target=target, op=operator, value=node):
                value = self._operation(operator, self._value(target, scope), self._value(node, scope), statement)
                self._assign(target, value, scope)
            case ast.Expr(value=node):
                self._value(node, scope)
            case ast.Return(value=node):
                return self._value(node, scope) if node else None
            case ast.FunctionDef(name=name):
                scope[name] = self._seen[statement] = Function(statement, scope)
            case ast.ClassDef(name=name):
                scope[name] = self._seen[statement] = Class(statement, scope)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    scope[alias.asname or alias.name] = Unknown(f"{module}.{alias.name}")
            case ast.Import(names=names):
                for alias in names:
                    if alias.asname:
                        scope[alias.asname] = Unknown(alias.name)
            case ast.If(test=test, body=body, orelse=otherwise):
                return self._choice(truth(self._value(test, scope)), statement, body, otherwise, scope)
            case ast.For():
                return self._loop(statement, scope)
            case ast.While(body=body):
                return self._choice(None, statement, body, [], scope)
            case ast.With(body=body) | ast.Try(body=body):
                return self._run(body, scope)
        return _GOES_ON

    def _choice(
        self,
        decided: bool | None,
        statement: ast.stmt,
        body: Sequence[ast.stmt],
        otherwise: Sequence[ast.stmt],
        scope: Scope,
    ) -> object:
        if decided is not None:
            return self._run(body if decided else otherwise, scope)
        before = self._undecided
        self._undecided = statement.lineno
        result = self._run(body, scope)
        if result is _GOES_ON:
            result = self._run(otherwise, scope)
        self._undecided = before
        return result

    def _loop(self, statement: ast.For, scope: Scope) -> object:
        rounds = self._rounds(self._value(statement.iter, scope))
        if rounds is None:
            self._assign(statement.target, Unknown(), scope)
            return self._choice(None, statement, statement.body, [], scope)
        for value in rounds:
            grown = self._grown
            self._assign(statement.target, value, scope)
            result = self._run(statement.body, scope)
            if result is not _GOES_ON:
                return result
            if self._grown == grown:  # a loop that trains, not one that builds
                break
        return _GOES_ON

    def _rounds(self, value: object) -> list[object] | None:
        if isinstance(value, Stack):
            return value.parts[:_MOST_ROUNDS]
        return list(value)[:_MOST_ROUNDS] if isinstance(value, list | tuple) else None

    def _assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        match target:
            case ast.Name(id=name):
                scope[name] = value
            case ast.Attribute(value=node, attr=name):
                owner = self._value(node, scope)
                if isinstance(owner, Instance):
                    owner.attributes[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                known = isinstance(value, list | tuple) and len(value) == len(targets)
                for place, inner in enumerate(targets):
                    self._assign(inner, item(value, place) if known else Unknown(), scope)

    # Expressions

    def _value(self, node: ast.expr, scope: Scope) -> object:
        self._count()
        match node:
            case ast.Constant(value=constant):
                return literal(constant)
            case ast.Name(id=name):
                return scope.get(name, Unknown(name))
            case ast.Tuple(elts=nodes):
                return tuple(self._items(nodes, scope))
            case ast.List(elts=nodes):
                return self._items(nodes, scope)
            case ast.Dict(keys=keys, values=nodes):
                names = [self._value(key, scope) if key else Unknown() for key in keys]
                values = [self._value(value, scope) for value in nodes]
                return {name: value for name, value in zip(names, values, strict=True) if isinstance(name, str)}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self._value(operand, scope)
                return -number if isinstance(number, int | float) else Unknown()
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                known = truth(self._value(operand, scope))
                return Unknown() if known is None else not known
            case ast.BinOp(left=left, op=operator, right=right):
                return self._operation(operator, self._value(left, scope), self._value(right, scope), node)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                return compared(comparison, self._value(left, scope), self._value(right, scope))
            case ast.IfExp(test=test, body=one, orelse=other):
                return self._value(one if truth(self._value(test, scope)) else other, scope)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(self._value(owner, scope), name)
            case ast.Subscript(value=container, slice=key):
                return item(self._value(container, scope), self._value(key, scope))
            case ast.ListComp(elt=element, generators=[loop]) | ast.GeneratorExp(elt=element, generators=[loop]):
                return self._listed(element, loop, scope)
            case ast.Lambda():
                return Function(node, scope)
            case ast.Call():
                return self._call(node, scope)
        return Unknown()

    def _items(self, nodes: Sequence[ast.expr], scope: Scope) -> list[object]:
        found: list[object] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                several = self._rounds(self._value(node.value, scope))
                found += [Unknown()] if several is None else several
            else:
                found.append(self._value(node, scope))
        return found

    def _listed(self, element: ast.expr, loop: ast.comprehension, scope: Scope) -> object:
        rounds = self._rounds(self._value(loop.iter, scope))
        if rounds is None or loop.ifs:
            return Unknown()
        found = []
        for value in rounds:
            inner = child(scope)
            self._assign(loop.target, value, inner)
            found.append(self._value(element, inner))
        return found

    def _attribute(self, owner: object, name: str) -> object:
        if isinstance(owner, Unknown):
            return Unknown(f"{owner.name}.{name}"[-120:] if owner.name else name)
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            method = owner.kind.method(name)
            return Function(method, owner.kind.scope, owner) if method else Method(owner, name)
        if isinstance(owner, Class):
            method = owner.method(name)
            self._entered.add(owner.node)
            return Function(method, owner.scope) if method else Unknown(name)
        return Method(owner, name)

    def _operation(self, operator: ast.operator, left: object, right: object, node: ast.AST) -> object:
        if isinstance(left, Flow) and isinstance(right, Flow) and isinstance(operator, ast.Add):
            return self._longer(*joined([left, right], node))
        for side in (left, right):
            if isinstance(side, Flow):
                return self._longer(side, Call("arithmetic", (), {}, node))
        return combined(operator, left, right)

    # Calls

    def _call(self, node: ast.Call, scope: Scope) -> object:
        function = self._value(node.func, scope)
        positional = tuple(self._items(node.args, scope))
        named: dict[str, object] = {}
        for keyword in node.keywords:
            value = self._value(keyword.value, scope)
            if keyword.arg:
                named[keyword.arg] = value
            elif isinstance(value, dict):
                named |= value
        match function:
            case Function():
                return self._invoked(function, positional, named)
            case Class():
                return self._made(function, positional, named)
            case Method(owner=owner, name=name):
                return self._method(owner, name, positional, named, node)
            case Instance():
                return self._forward(function, positional, named, node)
            case Call() | Stack():
                flow = self._image(positional, named, node)
                return flow and self._through(function, flow, node)
            case Unknown():
                return self._library(function, positional, named, node)
        return Unknown()

    def _image(self, positional: Sequence[object], named: Mapping[str, object], node: ast.AST) -> Flow | None:
        """The image, if it is what something is applied to; several ways that it took are added up."""
        flows = []
        for value in (*positional, *named.values()):
            flows += [
                part for part in (value if isinstance(value, list | tuple) else [value]) if isinstance(part, Flow)
            ]
        if len(flows) > 1:
            return self._longer(*joined(flows, node))
        return flows[0] if flows else None

    def _forward(
        self, instance: Instance, positional: Sequence[object], named: Mapping[str, object], node: ast.AST
    ) -> object:
        method = instance.kind.method(*_FORWARD)
        if method:
            return self._invoked(Function(method, instance.kind.scope, instance), positional, named)
        flow = self._image(positional, named, node)
        return flow and self._longer(flow, Call(instance.kind.node.name, (), {}, node))

    def _through(self, part: object, flow: Flow, node: ast.AST) -> Flow:
        """The image after one more part of a network, whatever the part is made of."""
        self._count()
        match part:
            case Call(name="Add"):
                return flow
            case Call():
                return self._longer(flow, part)
            case Flow():
                return Flow((*flow.calls, *part.calls))
            case Stack(parts=parts):
                for inner in parts:
                    flow = self._through(inner, flow, part.node)
                return flow
            case Instance() | Function():
                after = self._forward(part, [flow], {}, node) if isinstance(part, Instance) else None
                after = self._invoked(part, [flow], {}) if isinstance(part, Function) else after
                several = isinstance(after, list | tuple) and bool(after)
                first = after[0] if isinstance(after, list | tuple) and after else after
                if isinstance(first, Flow):
                    if several and first.calls:
                        self._doubts[first.calls[-1]] = "Only the first of the values that the network returns is read."
                    return first
        return self._longer(flow, Call(_name(part), (), {}, node))

    def _longer(self, flow: Flow, call: Call) -> Flow:
        if len(flow.calls) >= _MOST_CALLS:
            raise _endless()
        self._doubt(call)
        return Flow((*flow.calls, call))

    def _doubt(self, *parts: object) -> None:
        """Remember what is added where a condition cannot be decided."""
        for part in parts if self._undecided else ():
            if isinstance(part, Call):
                self._doubts[part] = (
                    f"Line {self._undecided}: whether, or how often, this is gone through is not known without running "
                    "the code; it was read as once."
                )

    def _count(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _endless()

    def _invoked(self, function: Function, positional: Sequence[object], named: Mapping[str, object]) -> object:
        if self._depth >= _DEEPEST:
            raise _endless()
        node = function.node
        self._entered.add(node)
        scope = child(function.scope)
        self._bind(node.args, [*([function.owner] if function.owner else []), *positional], named, scope)
        self._depth += 1
        result = self._value(node.body, scope) if isinstance(node, ast.Lambda) else self._run(node.body, scope)
        self._depth -= 1
        return None if result is _GOES_ON else result

    def _bind(
        self, arguments: ast.arguments, positional: Sequence[object], named: Mapping[str, object], scope: Scope
    ) -> None:
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        every = [*names, *(argument.arg for argument in arguments.kwonlyargs)]
        scope.update({name: Unknown(name) for name in every})
        for name, default in zip(reversed(names), reversed(arguments.defaults), strict=False):
            scope[name] = self._value(default, scope)
        for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if keyword_default:
                scope[argument.arg] = self._value(keyword_default, scope)
        scope.update(zip(names, positional, strict=False))
        scope.update({name: value for name, value in named.items() if name in every})
        if arguments.vararg:
            scope[arguments.vararg.arg] = tuple(positional[len(names) :])
        if arguments.kwarg:
            scope[arguments.kwarg.arg] = {name: value for name, value in named.items() if name not in every}

    def _made(self, kind: Class, positional: Sequence[object], named: Mapping[str, object]) -> Instance:
        self._entered.add(kind.node)
        instance = Instance(kind)
        self._instances.append(instance)
        start = kind.method("__init__")
        if start:
            self._invoked(Function(start, kind.scope, instance), positional, named)
        return instance

    def _method(
        self, owner: object, name: str, positional: tuple[object, ...], named: dict[str, object], node: ast.AST
    ) -> object:
        added = (*positional, *named.values())[-1:]
        match owner:
            case Stack(parts=parts) if name in ("add", "append", "add_module"):
                self._grow(parts, added)
            case Stack(parts=parts) | list(parts) if name == "extend" and added:
                self._grow(parts, self._rounds(added[0]) or [])
            case list(parts) if name == "append":
                self._grow(parts, added)
            case Stack(parts=parts) if name == "pop" and parts:
                return parts.pop()
            case Flow() if name not in _ITSELF | _SIZES:
                return self._longer(owner, Call(name.rstrip("_"), positional, named, node))
            case Flow() | Stack() | Instance() | Call() if name in _ITSELF:
                return owner
        return Unknown()

    def _grow(self, parts: list[object], added: Sequence[object]) -> None:
        if len(parts) + len(added) > LONGEST_LIST:
            return
        parts.extend(added)
        if any(map(is_layer, added)):
            self._grown += 1
            self._doubt(*added)

    def _library(
        self, function: Unknown, positional: tuple[object, ...], named: dict[str, object], node: ast.AST
    ) -> object:
        word = function.word
        first = positional[0] if positional else None
        match word:
            case "Sequential" | "ModuleList":
                return self._stack(word, [*positional, named.get("layers", [])], node)
            case "Input":
                return Flow((Call(word, positional, named, node),))
            case "Model" | "Functional":
                return self._end([*positional[1:], named.get("outputs")], node)
            case "OrderedDict" | "list" | "tuple" if isinstance(first, list | tuple | dict):
                return first
            case "image_data_format":
                return "channels_last"
        if word in _BUILT_IN and word == function.name:
            return built_in(word, positional)
        flow = self._image(positional, named, node)
        if flow:
            return flow if word == "add" else self._longer(flow, Call(word, positional[1:], named, node))
        if not word[:1].isupper():
            return Unknown()
        call = Call(word, positional, named, node)
        self._doubt(call)
        return call

    def _stack(self, word: str, given: Sequence[object], node: ast.AST) -> Stack:
        parts: list[object] = []
        for value in given:
            several = list(value.values()) if isinstance(value, dict) else value
            several = several if isinstance(several, list | tuple) else [several]
            parts += [part[1] if isinstance(part, tuple) and len(part) == 2 else part for part in several]
        stack = Stack(parts[:LONGEST_LIST], node)
        if word == "Sequential":
            self._stacks.append(stack)
        return stack

    def _end(self, outputs: Sequence[object], node: ast.AST) -> object:
        """A Keras model, by what comes out of it."""
        for value in outputs:
            several = value if isinstance(value, list | tuple) else [value]
            for flow in several:
                if isinstance(flow, Flow):
                    self._ends.append((node, flow))
                    return Stack([flow], node)
        return Unknown()


def _name(part: object) -> str:
    """What a part that cannot be followed is called in a message."""
    match part:
        case Unknown(name=name) if name:
            return name
        case Instance(kind=kind):
            return kind.node.name
    return "this part"


def _endless() -> ArchitectureError:
    return ArchitectureError(
        "This code is too long or too deep to follow.",
        expected="Code that builds one network of at most 64 layers.",
        fix="Paste the network alone.",
    )
