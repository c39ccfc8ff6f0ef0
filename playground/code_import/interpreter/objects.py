"""Functions, classes and attributes of the interpreted program."""

import ast
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

from playground.code_import.interpreter.expressions import ExpressionEvaluator, UnknownValues
from playground.code_import.interpreter.heap import create_stop_error, create_too_long_error
from playground.code_import.interpreter.library_names import EXAMPLE_METHODS, split_names
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    ExampleTensor,
    LibraryName,
    ModuleSequence,
    Parameter,
    Partial,
    Scope,
    SuperProxy,
    SymbolicTensor,
    Unknown,
    UserClass,
    UserFunction,
    UserInstance,
    get_line_number,
)

_MAX_CALL_DEPTH = 32
_PLAIN_BASES = frozenset(
    ("object", "ABC", "Protocol", "Generic", "Exception", "ValueError", "RuntimeError", "TypeError")
)
_NETWORK_BASES = frozenset(("Module", "LightningModule", "Model", "Layer"))
_UNSUPPORTED_METHODS = ("__getattr__", "__getattribute__", "__setattr__", "__new__", "__init_subclass__", "__delattr__")
FORWARD_METHODS = ("__call__", "forward", "call")
_IGNORED_DECORATORS = split_names("""
    no_grad inference_mode enable_grad function register_keras_serializable compile register wraps override
    abstractmethod final script export ignore total_ordering overload deprecated lru_cache cache
""")
_METHOD_KINDS = ("staticmethod", "classmethod", "property")


class ObjectEvaluator(ExpressionEvaluator):
    """Calls functions, makes instances, and reads and sets attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.training: bool | Unknown = Unknown("it depends on whether the network is training")
        """Mode in which the network is applied."""
        self.used_definitions: set[ast.AST] = set()
        self._depth = 0

    @abstractmethod
    def run_body(self, function: UserFunction, scope: Scope) -> object:
        """Execute the body of a function; return its value."""

    @abstractmethod
    def initialize_base(
        self,
        instance: UserInstance,
        base: LibraryName,
        positional: Sequence[object],
        keywords: Mapping[str, object],
        node: ast.AST,
    ) -> None:
        """Call the constructor of a library's class for an instance of a derived class."""

    @abstractmethod
    def record_network(self, value: ModuleSequence | UserInstance, node: ast.AST) -> None:
        """Record a network that the program made."""

    @abstractmethod
    def get_library_attribute(self, owner: object, name: str, node: ast.AST) -> object:
        """Return an attribute of a layer, a sequence, a tensor or a plain value."""

    @abstractmethod
    def set_library_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """Set an attribute of a value that is no instance of the program's classes."""

    # Functions

    def call_function(
        self, function: UserFunction, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> object:
        """Call a function of the program."""
        if self._depth >= _MAX_CALL_DEPTH:
            raise create_too_long_error()
        self.used_definitions.add(function.node)
        scope = Scope(parent=function.scope)
        self._bind(function, list(positional), dict(keywords), scope)
        self._depth += 1
        try:
            return self.run_body(function, scope)
        finally:
            self._depth -= 1

    def _bind(
        self, function: UserFunction, positional: list[object], keywords: dict[str, object], scope: Scope
    ) -> None:
        """Bind arguments as Python does; ``*args`` and ``**kwargs`` that are unknown make parameters unknown."""
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        by_keyword = [argument.arg for argument in arguments.kwonlyargs]
        cells = scope.cells
        open_values = next((value for value in positional if isinstance(value, UnknownValues)), None)
        if open_values:
            positional = positional[: positional.index(open_values)]
        open_keywords = keywords.pop("**", None)
        cells.update(zip(names, positional, strict=False))
        extra = positional[len(names) :]
        if extra and not arguments.vararg:
            raise ProgramError("TypeError", f"{function.name}() takes {len(names)} positional arguments")
        others: dict[object, object] = {}
        for name, value in keywords.items():
            if name in cells:
                raise ProgramError("TypeError", f"{function.name}() got two values for {name}")
            if name in names or name in by_keyword:
                cells[name] = value
            elif arguments.kwarg:
                others[name] = value
            else:
                raise ProgramError("TypeError", f"{function.name}() has no argument {name}")
        defaults = dict(zip(reversed(names), reversed(function.defaults), strict=False))
        defaults |= {
            name: value for name, value in zip(by_keyword, function.keyword_defaults, strict=True) if value is not ...
        }
        for name in (*names, *by_keyword):
            if name not in cells:
                if open_values or open_keywords:
                    cells[name] = open_values or open_keywords
                elif name in defaults:
                    cells[name] = defaults[name]
                else:
                    cells[name] = self.fill_argument(function, name)
        if arguments.vararg:
            cells[arguments.vararg.arg] = open_values or tuple(extra)
        if arguments.kwarg:
            cells[arguments.kwarg.arg] = open_keywords or others
        self.heap.charge(len(cells))

    def fill_argument(self, function: UserFunction, name: str) -> object:
        """Return the value of a required argument that a call lacks."""
        raise ProgramError("TypeError", f"{function.name}() needs a value for {name}")

    def define_function(self, statement: ast.FunctionDef, scope: Scope) -> object:
        """Return the function of a ``def`` statement, or ``Unknown`` if a decorator may replace it."""
        function = self.make_function(statement, statement.args, scope)
        kind = ""
        for decorator in reversed(statement.decorator_list):
            name = _get_decorator_name(decorator)
            if name in _METHOD_KINDS:
                kind = name
            elif name not in _IGNORED_DECORATORS:
                return Unknown(f"the decorator `{ast.unparse(decorator)[:40]}` may change {statement.name}")
        is_generator = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(statement))
        if is_generator:
            return Unknown(f"{statement.name} is a generator, which cannot be followed")
        return UserFunction(statement, scope, function.defaults, function.keyword_defaults, kind=kind)

    # Classes

    def define_class(
        self, statement: ast.ClassDef, scope: Scope, run: Callable[[Sequence[ast.stmt], Scope], object]
    ) -> object:
        """Return the class of a ``class`` statement, or ``Unknown`` if a base or a decorator may change it."""
        bases = self.evaluate_all(statement.bases, scope)
        body = Scope(parent=scope, is_class=True)
        run(statement.body, body)
        for base in bases:
            if not self._is_known_base(base):
                reason = base.reason if isinstance(base, Unknown) else "its base class is not supported"
                return Unknown(f"class {statement.name} cannot be followed: {reason}", statement.lineno)
        if any(
            keyword.arg == "metaclass" and "ABCMeta" not in ast.unparse(keyword.value) for keyword in statement.keywords
        ):
            return Unknown(f"class {statement.name} has a metaclass, which cannot be followed")
        result = UserClass(statement.name, statement, scope, body.cells)
        result.mro = (result, *_linearize([base for base in bases if isinstance(base, UserClass | LibraryName)]))
        for name, value in body.cells.items():
            if name in _UNSUPPORTED_METHODS:
                return Unknown(f"class {statement.name} defines {name}, which cannot be followed")
            if isinstance(value, UserFunction) and value.scope is body:
                body.cells[name] = UserFunction(
                    value.node, scope, value.defaults, value.keyword_defaults, result, value.kind
                )
        for decorator in statement.decorator_list:
            name = _get_decorator_name(decorator)
            if name == "dataclass":
                inherited = [base.field_names or () for base in result.mro[:0:-1] if isinstance(base, UserClass)]
                own = [
                    item.target.id
                    for item in statement.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                ]
                result.field_names = tuple(dict.fromkeys([name for names in inherited for name in names] + own))
            elif name not in _IGNORED_DECORATORS:
                return Unknown(f"the decorator `{ast.unparse(decorator)[:40]}` may change {statement.name}")
        return result

    def _is_known_base(self, base: object) -> bool:
        if isinstance(base, UserClass):
            return True
        return isinstance(base, LibraryName) and (
            base.library in ("torch", "keras") or base.short_name in _PLAIN_BASES | _NETWORK_BASES
        )

    def instantiate(
        self, user_class: UserClass, positional: Sequence[object], keywords: Mapping[str, object], node: ast.AST
    ) -> UserInstance:
        """Make an instance of a class of the program."""
        self.used_definitions.add(user_class.node)
        self.used_definitions.update(base.node for base in user_class.mro if isinstance(base, UserClass))
        instance = UserInstance(user_class)
        start, _ = user_class.find("__init__")
        if isinstance(start, UserFunction):
            self.call_function(start, [instance, *positional], keywords, node)
        elif start:
            self.heap.taint(instance, start if isinstance(start, Unknown) else Unknown("its constructor is unknown"))
        elif user_class.field_names is not None:
            self._set_fields(instance, positional, dict(keywords))
        elif user_class.library_bases:
            self.initialize_base(instance, user_class.library_bases[0], positional, keywords, node)
        elif positional or keywords:
            raise ProgramError("TypeError", f"{user_class.name}() takes no arguments")
        if self.find_forward(instance) or instance.base:
            self.record_network(instance, node)
        return instance

    def _set_fields(self, instance: UserInstance, positional: Sequence[object], keywords: dict[str, object]) -> None:
        """Set the fields of a dataclass."""
        names = instance.user_class.field_names or ()
        given = dict(zip(names, positional, strict=False)) | keywords
        unknown = next((value for value in positional if isinstance(value, UnknownValues)), keywords.get("**"))
        if unknown:
            instance.cells |= dict.fromkeys(names, unknown)
            return
        if len(positional) > len(names) or set(given) - set(names):
            raise ProgramError("TypeError", f"{instance.user_class.name}() has no such field")
        for name in names:
            default, owner = instance.user_class.find(name)
            if name not in given and owner is None:
                raise ProgramError("TypeError", f"{instance.user_class.name}() needs a value for {name}")
            instance.cells[name] = given.get(name, default)

    def find_forward(self, instance: UserInstance) -> object:
        """Return the method that applies an instance to a tensor; None if it has none."""
        if "forward" in instance.cells:
            return instance.cells["forward"]
        for name in FORWARD_METHODS:
            method, _ = instance.user_class.find(name)
            if method:
                return self._bind_method(method, instance, instance.user_class)
        return None

    # Attributes

    def _bind_method(self, value: object, instance: object, user_class: UserClass) -> object:
        if not isinstance(value, UserFunction):
            return value
        match value.kind:
            case "staticmethod":
                return value
            case "classmethod":
                return BoundMethod(user_class, value)
            case "property" if isinstance(instance, UserInstance):
                return self.call_function(value, [instance], {}, value.node)
        return BoundMethod(instance, value) if isinstance(instance, UserInstance) else value

    def get_attribute(self, owner: object, name: str, node: ast.AST) -> object:
        """Return an attribute of a value."""
        if taint := self.heap.get_taint(owner):
            return taint
        match owner:
            case ExampleTensor():
                return BoundMethod(owner, name) if name in EXAMPLE_METHODS else owner.values
            case Unknown():
                return owner
            case UserInstance():
                return self._get_instance_attribute(owner, name, node)
            case UserClass():
                value, defined = owner.find(name)
                if defined:
                    return self._bind_method(value, None, owner)
                if name in ("__name__", "__qualname__"):
                    return owner.name
                if owner.library_bases:
                    return LibraryName(f"{owner.library_bases[0].name}.{name}", owner.library_bases[0].library)
                raise ProgramError("AttributeError", f"{owner.name} has no attribute {name}")
            case SuperProxy(instance=instance, after=after):
                user_class = instance.user_class if isinstance(instance, UserInstance) else instance
                if not isinstance(user_class, UserClass):
                    return Unknown("super() cannot be followed here")
                value, defined = user_class.find(name, after)
                return self._bind_method(value, instance, user_class) if defined else BoundMethod(owner, name)
            case UserFunction() | Partial() | BoundMethod():
                return (
                    owner.name
                    if isinstance(owner, UserFunction) and name == "__name__"
                    else Unknown(f".{name} of a function cannot be followed")
                )
        return self.get_library_attribute(owner, name, node)

    def _get_instance_attribute(self, owner: UserInstance, name: str, node: ast.AST) -> object:
        value, defined = owner.user_class.find(name)
        if name in owner.cells and not (isinstance(value, UserFunction) and value.kind == "property"):
            return owner.cells[name]
        if defined:
            return self._bind_method(value, owner, owner.user_class)
        if name == "__class__":
            return owner.user_class
        is_library = bool(owner.user_class.library_bases)
        if name == "training" and is_library:
            return self.training
        if isinstance(owner.base, ModuleSequence) and name in owner.base.cells:
            return owner.base.cells[name]
        if name == "__dict__":
            return Unknown("__dict__ cannot be followed")
        if is_library:
            return self.get_library_attribute(owner, name, node)
        raise ProgramError("AttributeError", f"{owner.user_class.name} has no attribute {name}")

    def set_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """Set an attribute of a value."""
        if isinstance(owner, UserInstance):
            attribute, _ = owner.user_class.find(name)
            if isinstance(attribute, UserFunction) and attribute.kind == "property":
                raise create_stop_error(get_line_number(node), f"setting the property {name} cannot be followed")
            base = owner.base
            if isinstance(base, ModuleSequence) and isinstance(value, Call | ModuleSequence | UserInstance):
                self.heap.touch(base)
                base.cells[name] = value
            if name == "trainable":
                self.set_library_attribute(owner, name, value, node)
            self.heap.touch(owner)
            owner.cells[name] = value
        elif isinstance(owner, UserClass):
            self.heap.touch(owner)
            owner.cells[name] = value
        else:
            self.set_library_attribute(owner, name, value, node)

    def call_special_method(
        self, owner: UserInstance, name: str, positional: Sequence[object], node: ast.AST
    ) -> object:
        """Call a method such as ``__len__``; NotImplemented if the class has none."""
        method, _ = owner.user_class.find(name)
        if isinstance(method, UserFunction):
            return self.call_function(method, [owner, *positional], {}, node)
        return NotImplemented if method is None else Unknown(f"{name} cannot be followed")

    def is_instance(self, value: object, classes: object) -> bool | Unknown:
        """Compute ``isinstance``."""
        if isinstance(value, Unknown):
            return value
        if isinstance(classes, tuple):
            answers = [self.is_instance(value, one) for one in classes]
            return True if True in answers else next((one for one in answers if isinstance(one, Unknown)), False)
        match value, classes:
            case _, Unknown():
                return classes
            case UserInstance(user_class=user_class), UserClass() | LibraryName():
                names = [base.short_name for base in user_class.library_bases]
                if isinstance(classes, UserClass):
                    return classes in user_class.mro
                if classes.short_name in ("Module", "Layer", "Model", "object") and names:
                    return (
                        classes.short_name == "object"
                        or classes.short_name in names
                        or Unknown("its base classes are not known")
                    )
                return classes.short_name in names
            case _, UserClass():
                return False
            case Call(name=name), LibraryName():
                if classes.short_name in ("Module", "Layer"):
                    return True
                return classes.short_name in (name, name.removeprefix("Lazy"))
            case ModuleSequence(kind=kind), LibraryName():
                return classes.short_name in (kind, "Module", "Layer", "Model" if kind == "Sequential" else kind)
            case SymbolicTensor() | Parameter(), LibraryName():
                return classes.short_name in ("Tensor", "Parameter" if isinstance(value, Parameter) else "Tensor")
            case (
                (str() | int() | float() | list() | tuple() | dict() | set() | None),
                LibraryName(library="builtins"),
            ):
                return classes.name in [base.__name__ for base in type(value).__mro__]
        if isinstance(classes, LibraryName) and isinstance(value, str | int | float | list | tuple | dict | set | None):
            known = {"Iterable": (str, list, tuple, dict, set), "Sequence": (str, list, tuple), "Number": (int, float)}
            if classes.library in ("torch", "keras"):
                return False
            if classes.short_name in known:
                return isinstance(value, known[classes.short_name])
        return Unknown("isinstance(…) cannot be decided here")


def _get_decorator_name(node: ast.expr) -> str:
    """Return the last part of a decorator's name; of ``@x.setter`` and the like, nothing that is known."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def _linearize(bases: Sequence[UserClass | LibraryName]) -> list[UserClass | LibraryName]:
    """Return the method resolution order of the bases (C3)."""
    chains = [list(base.mro) if isinstance(base, UserClass) else [base] for base in bases]
    chains.append(list(bases))
    order: list[UserClass | LibraryName] = []
    while chains := [chain for chain in chains if chain]:
        heads = [chain[0] for chain in chains if not any(chain[0] in other[1:] for other in chains)]
        if not heads:
            raise ProgramError("TypeError", "the base classes have no consistent order")
        order.append(heads[0])
        chains = [[item for item in chain if item is not heads[0] and item != heads[0]] for chain in chains]
    return order
