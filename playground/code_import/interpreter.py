"""Abstract interpreter of pasted code: traces a symbolic tensor through the network without executing the code.

It supports assignments, arithmetic of small numbers, functions, classes with a ``forward`` method, and short loops;
everything else evaluates to ``Unknown``. Every operation on the tensor is recorded as a ``Call``.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

from playground.code_import.expressions import ExpressionEvaluator
from playground.code_import.trace import TracedModel, create_too_long_error
from playground.code_import.values import (
    BoundMethod,
    Call,
    ModuleSequence,
    Scope,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    call_builtin,
    create_child_scope,
    evaluate_truth,
    get_item,
)

_MAX_CALL_DEPTH = 24
_NO_RETURN = object()
_SUPPORTED_BUILTINS = ("range", "len", "int", "float")
_FORWARD_METHODS = ("forward", "call")
_IDENTITY_METHODS = {
    "to",
    "cuda",
    "cpu",
    "eval",
    "train",
    "float",
    "double",
    "type",
    "contiguous",
    "clone",
    "requires_grad_",
}
_SIZE_METHODS = {"size", "dim", "numel", "item"}


def interpret_module(tree: ast.Module) -> tuple[TracedModel, ...]:
    """Return every network that the code creates; raises ArchitectureError for code that is too long to follow."""
    interpreter = _Interpreter()
    interpreter.execute_module(tree)
    return tuple(interpreter.iter_models())


class _Interpreter(ExpressionEvaluator):
    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._definitions: dict[ast.AST, UserClass | UserFunction] = {}
        self._visited: set[ast.AST] = set()
        self._instantiated_count = 0

    def execute_module(self, tree: ast.Module) -> None:
        """Interpret the module, then every definition that it never uses, since pasted code is often incomplete."""
        self._execute_block(tree.body, {"__name__": "__main__"})
        self._instantiated_count = len(self.trace.models)
        for node, value in list(self._definitions.items()):
            if node in self._visited:
                continue
            if isinstance(value, UserFunction):
                self._call_function(value, (), {})
            elif value.find_method(*_FORWARD_METHODS):
                self._instantiate(value, (), {})
            else:
                for method in value.node.body:
                    if isinstance(method, ast.FunctionDef):
                        self._call_function(UserFunction(method, value.scope), (), {})

    def iter_models(self) -> Iterator[TracedModel]:
        """Trace every network that was created, in order of creation."""
        for index, part in enumerate(list(self.trace.models)):
            node = part.node if isinstance(part, ModuleSequence) else part.user_class.node
            tensor = self._apply_part(part, SymbolicTensor(), node)
            yield self.trace.build_model(node, tensor, is_instantiated=index < self._instantiated_count)

    def _execute_block(self, body: Sequence[ast.stmt], scope: Scope) -> object:
        """Execute statements; return the value of a ``return`` statement, or ``_NO_RETURN``."""
        for statement in body:
            result = self._execute_statement(statement, scope)
            if result is not _NO_RETURN:
                return result
        return _NO_RETURN

    def _execute_statement(self, statement: ast.stmt, scope: Scope) -> object:
        match statement:
            case ast.Assign(targets=targets, value=node):
                value = self.evaluate(node, scope)
                for target in targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as node):
                self.assign(target, self.evaluate(node, scope), scope)
            case ast.AugAssign(target=target, op=operator, value=node):
                self._execute_augmented_assignment(
                    self.evaluate(target, scope), self.evaluate(node, scope), target, operator, scope
                )
            case ast.Expr(value=node):
                self.evaluate(node, scope)
            case ast.Return(value=node):
                return self.evaluate(node, scope) if node else None
            case ast.FunctionDef(name=name):
                scope[name] = self._definitions[statement] = UserFunction(statement, scope)
            case ast.ClassDef(name=name):
                scope[name] = self._definitions[statement] = UserClass(statement, scope)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    scope[alias.asname or alias.name] = Unknown(f"{module}.{alias.name}")
            case ast.Import(names=names):
                for alias in names:
                    if alias.asname:
                        scope[alias.asname] = Unknown(alias.name)
            case ast.If(test=test, body=body, orelse=otherwise):
                return self._execute_branch(
                    evaluate_truth(self.evaluate(test, scope)), statement, body, otherwise, scope
                )
            case ast.For():
                return self._execute_for(statement, scope)
            case ast.While(body=body):
                return self._execute_branch(None, statement, body, [], scope)
            case ast.With(body=body) | ast.Try(body=body):
                return self._execute_block(body, scope)
        return _NO_RETURN

    def _execute_augmented_assignment(
        self, left: object, right: object, target: ast.expr, operator: ast.operator, scope: Scope
    ) -> None:
        if isinstance(left, list) and isinstance(operator, ast.Add):
            self.trace.append_parts(left, self.get_loop_values(right) or [])
        else:
            self.assign(target, self.apply_operator(operator, left, right, target), scope)

    def _execute_branch(
        self,
        condition: bool | None,
        statement: ast.stmt,
        body: Sequence[ast.stmt],
        otherwise: Sequence[ast.stmt],
        scope: Scope,
    ) -> object:
        if condition is not None:
            return self._execute_block(body if condition else otherwise, scope)
        before = self.trace.undecided_line
        self.trace.undecided_line = statement.lineno
        result = self._execute_block(body, scope)
        if result is _NO_RETURN:
            result = self._execute_block(otherwise, scope)
        self.trace.undecided_line = before
        return result

    def _execute_for(self, statement: ast.For, scope: Scope) -> object:
        rounds = self.get_loop_values(self.evaluate(statement.iter, scope))
        if rounds is None:
            self.assign(statement.target, Unknown(), scope)
            return self._execute_branch(None, statement, statement.body, [], scope)
        for value in rounds:
            grown = self.trace.growth_count
            self.assign(statement.target, value, scope)
            result = self._execute_block(statement.body, scope)
            if result is not _NO_RETURN:
                return result
            if self.trace.growth_count == grown and isinstance(
                value, int
            ):  # such a loop counts epochs and adds no layer
                break
        return _NO_RETURN

    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        match target:
            case ast.Name(id=name):
                scope[name] = value
            case ast.Attribute(value=node, attr=name):
                owner = self.evaluate(node, scope)
                if isinstance(owner, UserInstance):
                    owner.attributes[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                known = isinstance(value, list | tuple) and len(value) == len(targets)
                for index, inner in enumerate(targets):
                    self.assign(inner, get_item(value, index) if known else Unknown(), scope)

    def get_attribute(self, owner: object, name: str) -> object:
        if isinstance(owner, Unknown):
            return Unknown(f"{owner.name}.{name}"[-120:] if owner.name else name)
        if isinstance(owner, UserInstance):
            if name in owner.attributes:
                return owner.attributes[name]
            method = owner.user_class.find_method(name)
            return UserFunction(method, owner.user_class.scope, owner) if method else BoundMethod(owner, name)
        if isinstance(owner, UserClass):
            method = owner.find_method(name)
            if method:
                self._visited.add(owner.node)
            return UserFunction(method, owner.scope) if method else Unknown(name)
        return BoundMethod(owner, name)

    def evaluate_call(self, node: ast.Call, scope: Scope) -> object:
        function = self.evaluate(node.func, scope)
        positional = tuple(self.evaluate_all(node.args, scope))
        named: dict[str, object] = {}
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, scope)
            if keyword.arg:
                named[keyword.arg] = value
            elif isinstance(value, dict):
                named |= value
        match function:
            case UserFunction():
                return self._call_function(function, positional, named)
            case UserClass():
                return self._instantiate(function, positional, named)
            case BoundMethod(owner=owner, name=name):
                return self._call_method(owner, name, positional, named, node)
            case UserInstance():
                return self._call_instance(function, positional, named, node)
            case Call() | ModuleSequence():
                adds = isinstance(function, Call) and function.name == "Add"
                tensor = self.trace.find_tensor([*positional, *named.values()], node, is_addition=adds)
                return tensor and self._apply_part(function, tensor, node)
            case Unknown():
                return self._call_library(function, positional, named, node)
        return Unknown()

    def _call_instance(
        self, instance: UserInstance, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> object:
        method = instance.user_class.find_method(*_FORWARD_METHODS)
        if method:
            return self._call_function(UserFunction(method, instance.user_class.scope, instance), positional, keywords)
        tensor = self.trace.find_tensor([*positional, *keywords.values()], node)
        return tensor and self.trace.extend_tensor(tensor, Call(instance.user_class.node.name, (), {}, node))

    def _apply_part(self, part: object, tensor: SymbolicTensor, node: ast.AST) -> SymbolicTensor:
        """Apply a part of a network to a tensor."""
        self.trace.count_step()
        match part:
            case Call(name="Add"):
                return tensor
            case Call():
                return self.trace.extend_tensor(tensor, part)
            case SymbolicTensor(calls=calls):
                return self.trace.extend_tensor(tensor, *calls)
            case ModuleSequence(parts=parts):
                for inner in parts:
                    tensor = self._apply_part(inner, tensor, part.node)
                return tensor
            case UserInstance():
                return self._extract_tensor(self._call_instance(part, [tensor], {}, node), part, tensor, node)
            case UserFunction():
                return self._extract_tensor(self._call_function(part, [tensor], {}), part, tensor, node)
        return self.trace.extend_tensor(tensor, Call(_describe_part(part), (), {}, node))

    def _extract_tensor(self, result: object, part: object, before: SymbolicTensor, node: ast.AST) -> SymbolicTensor:
        """Return the tensor in a result; for a result without one, record a call with the part's name."""
        first = result[0] if isinstance(result, list | tuple) and result else result
        if not isinstance(first, SymbolicTensor):
            return self.trace.extend_tensor(before, Call(_describe_part(part), (), {}, node))
        if first is not result and first.calls:
            self.trace.mark_uncertain(first.calls[-1], "The network returns several values; only the first is used.")
        return first

    def _call_function(
        self, function: UserFunction, positional: Sequence[object], keywords: Mapping[str, object]
    ) -> object:
        if self._depth >= _MAX_CALL_DEPTH:
            raise create_too_long_error()
        node = function.node
        self._visited.add(node)
        scope = create_child_scope(function.scope)
        self._bind_arguments(node.args, [*([function.owner] if function.owner else []), *positional], keywords, scope)
        self._depth += 1
        result = (
            self.evaluate(node.body, scope) if isinstance(node, ast.Lambda) else self._execute_block(node.body, scope)
        )
        self._depth -= 1
        return None if result is _NO_RETURN else result

    def _bind_arguments(
        self, arguments: ast.arguments, positional: Sequence[object], keywords: Mapping[str, object], scope: Scope
    ) -> None:
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        every = [*names, *(argument.arg for argument in arguments.kwonlyargs)]
        scope.update({name: Unknown(name) for name in every})
        for name, default in zip(reversed(names), reversed(arguments.defaults), strict=False):
            scope[name] = self.evaluate(default, scope)
        for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if keyword_default:
                scope[argument.arg] = self.evaluate(keyword_default, scope)
        scope.update(zip(names, positional, strict=False))
        scope.update({name: value for name, value in keywords.items() if name in every})
        if arguments.vararg:
            scope[arguments.vararg.arg] = tuple(positional[len(names) :])
        if arguments.kwarg:
            scope[arguments.kwarg.arg] = {name: value for name, value in keywords.items() if name not in every}

    def _instantiate(
        self, user_class: UserClass, positional: Sequence[object], keywords: Mapping[str, object]
    ) -> UserInstance:
        self._visited.add(user_class.node)
        instance = UserInstance(user_class)
        start = user_class.find_method("__init__")
        if start:
            self._call_function(UserFunction(start, user_class.scope, instance), positional, keywords)
        if user_class.find_method(*_FORWARD_METHODS):
            self.trace.models.append(instance)
        return instance

    def _call_method(
        self, owner: object, name: str, positional: tuple[object, ...], keywords: dict[str, object], node: ast.AST
    ) -> object:
        added = (*positional, *keywords.values())[-1:]
        match owner:
            case ModuleSequence(parts=parts) if name in ("add", "append", "add_module"):
                self.trace.append_parts(parts, added)
            case ModuleSequence(parts=parts) | list(parts) if name == "extend" and added:
                self.trace.append_parts(parts, self.get_loop_values(added[0]) or [])
            case list(parts) if name == "append":
                self.trace.append_parts(parts, added)
            case ModuleSequence(parts=parts) if name == "pop" and parts:
                return parts.pop()
            case SymbolicTensor() if name not in _IDENTITY_METHODS | _SIZE_METHODS:
                return self.trace.extend_tensor(owner, Call(name.rstrip("_"), positional, keywords, node))
            case SymbolicTensor() | ModuleSequence() | UserInstance() | Call() if name in _IDENTITY_METHODS:
                return owner
        return Unknown()

    def _call_library(
        self, function: Unknown, positional: tuple[object, ...], keywords: dict[str, object], node: ast.AST
    ) -> object:
        name = function.short_name
        first = positional[0] if positional else None
        match name:
            case "Sequential" | "ModuleList":
                given = [*positional, keywords.get("layers", [])]
                return self.trace.record_sequence(given, node, is_network=name == "Sequential")
            case "Input":
                return SymbolicTensor((Call(name, positional, keywords, node),))
            case "Model" | "Functional":
                return self.trace.record_functional_model([*positional[1:], keywords.get("outputs")], node)
            case "OrderedDict" | "list" | "tuple" if isinstance(first, list | tuple | dict):
                return first
            case "image_data_format":
                return "channels_last"
        if name in _SUPPORTED_BUILTINS and name == function.name:
            return call_builtin(name, positional)
        tensor = self.trace.find_tensor([*positional, *keywords.values()], node, is_addition=name == "add")
        if tensor:
            return (
                tensor
                if name == "add"
                else self.trace.extend_tensor(tensor, Call(name, positional[1:], keywords, node))
            )
        return self.trace.record_layer(Call(name, positional, keywords, node)) if name[:1].isupper() else Unknown()


def _describe_part(part: object) -> str:
    """Return the name of an unsupported part for messages."""
    match part:
        case Unknown(name=name) if name:
            return name
        case UserInstance(user_class=user_class):
            return user_class.node.name
    return "this part"
