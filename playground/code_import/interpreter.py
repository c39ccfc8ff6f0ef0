"""Walks pasted code without running it, as a reader does: what do the names hold, and where does one image go?

It knows assignments, arithmetic of small numbers, functions, classes with a ``forward``, and short loops; everything
else is ``Unknown`` and passed over. What it meets with on the image's way is kept as a Call, to be judged by its name.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

from playground.code_import.expressions import Expressions
from playground.code_import.trace import Model, endless
from playground.code_import.values import (
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
    item,
    truth,
)

_DEEPEST = 24
_GOES_ON = object()
_BUILT_IN = ("range", "len", "int", "float")
_FORWARD = ("forward", "call")
_ITSELF = {"to", "cuda", "cpu", "eval", "train", "float", "double", "type", "contiguous", "clone", "requires_grad_"}
_SIZES = {"size", "dim", "numel", "item"}


def walk(tree: ast.Module) -> tuple[Model, ...]:
    """Every network that the code makes; raises ArchitectureError for code that goes on and on."""
    walker = _Walker()
    walker.module(tree)
    return tuple(walker.models())


class _Walker(Expressions):
    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._defined: dict[ast.AST, Class | Function] = {}
        self._entered: set[ast.AST] = set()
        self._instances: list[Instance] = []

    def module(self, tree: ast.Module) -> None:
        """Walk the text, then whatever it defines and never uses: a tutorial's last line is often not pasted."""
        self._run(tree.body, {"__name__": "__main__"})
        for node, value in list(self._defined.items()):
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
        for stack in (*self.trace.stacks, *self.trace.ends):
            yield self.trace.model(stack.node, self._through(stack, Flow(), stack.node))
        for instance in list(self._instances):
            if instance.kind.method(*_FORWARD):
                node = instance.kind.node
                yield self.trace.model(node, self._through(instance, Flow(), node))

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
                value = self.value(node, scope)
                for target in targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as node):
                self.assign(target, self.value(node, scope), scope)
            case ast.AugAssign(target=target, op=operator, value=node):
                self._add_in_place(self.value(target, scope), self.value(node, scope), target, operator, scope)
            case ast.Expr(value=node):
                self.value(node, scope)
            case ast.Return(value=node):
                return self.value(node, scope) if node else None
            case ast.FunctionDef(name=name):
                scope[name] = self._defined[statement] = Function(statement, scope)
            case ast.ClassDef(name=name):
                scope[name] = self._defined[statement] = Class(statement, scope)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    scope[alias.asname or alias.name] = Unknown(f"{module}.{alias.name}")
            case ast.Import(names=names):
                for alias in names:
                    if alias.asname:
                        scope[alias.asname] = Unknown(alias.name)
            case ast.If(test=test, body=body, orelse=otherwise):
                return self._choice(truth(self.value(test, scope)), statement, body, otherwise, scope)
            case ast.For():
                return self._loop(statement, scope)
            case ast.While(body=body):
                return self._choice(None, statement, body, [], scope)
            case ast.With(body=body) | ast.Try(body=body):
                return self._run(body, scope)
        return _GOES_ON

    def _add_in_place(
        self, left: object, right: object, target: ast.expr, operator: ast.operator, scope: Scope
    ) -> None:
        if isinstance(left, list) and isinstance(operator, ast.Add):
            self.trace.grow(left, self.rounds(right) or [])
        else:
            self.assign(target, self.operation(operator, left, right, target), scope)

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
        before = self.trace.undecided
        self.trace.undecided = statement.lineno
        result = self._run(body, scope)
        if result is _GOES_ON:
            result = self._run(otherwise, scope)
        self.trace.undecided = before
        return result

    def _loop(self, statement: ast.For, scope: Scope) -> object:
        rounds = self.rounds(self.value(statement.iter, scope))
        if rounds is None:
            self.assign(statement.target, Unknown(), scope)
            return self._choice(None, statement, statement.body, [], scope)
        for value in rounds:
            grown = self.trace.grown
            self.assign(statement.target, value, scope)
            result = self._run(statement.body, scope)
            if result is not _GOES_ON:
                return result
            if self.trace.grown == grown and isinstance(value, int):  # it counts epochs and builds nothing
                break
        return _GOES_ON

    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        match target:
            case ast.Name(id=name):
                scope[name] = value
            case ast.Attribute(value=node, attr=name):
                owner = self.value(node, scope)
                if isinstance(owner, Instance):
                    owner.attributes[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                known = isinstance(value, list | tuple) and len(value) == len(targets)
                for place, inner in enumerate(targets):
                    self.assign(inner, item(value, place) if known else Unknown(), scope)

    def attribute(self, owner: object, name: str) -> object:
        if isinstance(owner, Unknown):
            return Unknown(f"{owner.name}.{name}"[-120:] if owner.name else name)
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            method = owner.kind.method(name)
            return Function(method, owner.kind.scope, owner) if method else Method(owner, name)
        if isinstance(owner, Class):
            method = owner.method(name)
            if method:
                self._entered.add(owner.node)
            return Function(method, owner.scope) if method else Unknown(name)
        return Method(owner, name)

    def call(self, node: ast.Call, scope: Scope) -> object:
        function = self.value(node.func, scope)
        positional = tuple(self.items(node.args, scope))
        named: dict[str, object] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
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
                adds = isinstance(function, Call) and function.name == "Add"
                flow = self.trace.image([*positional, *named.values()], node, adds=adds)
                return flow and self._through(function, flow, node)
            case Unknown():
                return self._library(function, positional, named, node)
        return Unknown()

    def _forward(
        self, instance: Instance, positional: Sequence[object], named: Mapping[str, object], node: ast.AST
    ) -> object:
        method = instance.kind.method(*_FORWARD)
        if method:
            return self._invoked(Function(method, instance.kind.scope, instance), positional, named)
        flow = self.trace.image([*positional, *named.values()], node)
        return flow and self.trace.longer(flow, Call(instance.kind.node.name, (), {}, node))

    def _through(self, part: object, flow: Flow, node: ast.AST) -> Flow:
        """The image after one more part of a network, whatever the part is made of."""
        self.trace.count()
        match part:
            case Call(name="Add"):
                return flow
            case Call():
                return self.trace.longer(flow, part)
            case Flow(calls=calls):
                return self.trace.longer(flow, *calls)
            case Stack(parts=parts):
                for inner in parts:
                    flow = self._through(inner, flow, part.node)
                return flow
            case Instance():
                return self._only_image(self._forward(part, [flow], {}, node), part, flow, node)
            case Function():
                return self._only_image(self._invoked(part, [flow], {}), part, flow, node)
        return self.trace.longer(flow, Call(_name(part), (), {}, node))

    def _only_image(self, result: object, part: object, before: Flow, node: ast.AST) -> Flow:
        """The image in what a part gives back; a call of the part's name if it cannot be followed through."""
        first = result[0] if isinstance(result, list | tuple) and result else result
        if not isinstance(first, Flow):
            return self.trace.longer(before, Call(_name(part), (), {}, node))
        if first is not result and first.calls:
            self.trace.doubt(first.calls[-1], "Only the first of the values that the network gives back is read.")
        return first

    def _invoked(self, function: Function, positional: Sequence[object], named: Mapping[str, object]) -> object:
        if self._depth >= _DEEPEST:
            raise endless()
        node = function.node
        self._entered.add(node)
        scope = child(function.scope)
        self._bind(node.args, [*([function.owner] if function.owner else []), *positional], named, scope)
        self._depth += 1
        result = self.value(node.body, scope) if isinstance(node, ast.Lambda) else self._run(node.body, scope)
        self._depth -= 1
        return None if result is _GOES_ON else result

    def _bind(
        self, arguments: ast.arguments, positional: Sequence[object], named: Mapping[str, object], scope: Scope
    ) -> None:
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        every = [*names, *(argument.arg for argument in arguments.kwonlyargs)]
        scope.update({name: Unknown(name) for name in every})
        for name, default in zip(reversed(names), reversed(arguments.defaults), strict=False):
            scope[name] = self.value(default, scope)
        for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if keyword_default:
                scope[argument.arg] = self.value(keyword_default, scope)
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
                self.trace.grow(parts, added)
            case Stack(parts=parts) | list(parts) if name == "extend" and added:
                self.trace.grow(parts, self.rounds(added[0]) or [])
            case list(parts) if name == "append":
                self.trace.grow(parts, added)
            case Stack(parts=parts) if name == "pop" and parts:
                return parts.pop()
            case Flow() if name not in _ITSELF | _SIZES:
                return self.trace.longer(owner, Call(name.rstrip("_"), positional, named, node))
            case Flow() | Stack() | Instance() | Call() if name in _ITSELF:
                return owner
        return Unknown()

    def _library(
        self, function: Unknown, positional: tuple[object, ...], named: dict[str, object], node: ast.AST
    ) -> object:
        word = function.word
        first = positional[0] if positional else None
        match word:
            case "Sequential" | "ModuleList":
                given = [*positional, named.get("layers", [])]
                return self.trace.stack(given, node, is_network=word == "Sequential")
            case "Input":
                return Flow((Call(word, positional, named, node),))
            case "Model" | "Functional":
                return self.trace.end([*positional[1:], named.get("outputs")], node)
            case "OrderedDict" | "list" | "tuple" if isinstance(first, list | tuple | dict):
                return first
            case "image_data_format":
                return "channels_last"
        if word in _BUILT_IN and word == function.name:
            return built_in(word, positional)
        flow = self.trace.image([*positional, *named.values()], node, adds=word == "add")
        if flow:
            return flow if word == "add" else self.trace.longer(flow, Call(word, positional[1:], named, node))
        return self.trace.made(Call(word, positional, named, node)) if word[:1].isupper() else Unknown()


def _name(part: object) -> str:
    """What a part that cannot be followed is called in a message."""
    match part:
        case Unknown(name=name) if name:
            return name
        case Instance(kind=kind):
            return kind.node.name
    return "this part"
