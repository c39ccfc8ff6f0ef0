"""Classes of the interpreted program, their instances and attributes."""

import ast
from collections.abc import Callable, Sequence

from playground.code_import.interpreter.functions import IGNORED_DECORATORS, FunctionEvaluator, get_decorator_name
from playground.code_import.interpreter.heap import create_stop_error
from playground.code_import.interpreter.libraries.names import EXAMPLE_METHODS
from playground.code_import.interpreter.operators import ProgramError
from playground.code_import.interpreter.values import (
    BoundMethod,
    Call,
    CallSite,
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

_PLAIN_BASES = frozenset(
    ("object", "ABC", "Protocol", "Generic", "Exception", "ValueError", "RuntimeError", "TypeError")
)
_NETWORK_BASES = frozenset(("Module", "LightningModule", "Model", "Layer"))
_UNSUPPORTED_METHODS = ("__getattr__", "__getattribute__", "__setattr__", "__new__", "__init_subclass__", "__delattr__")
_ABSTRACT_TYPES: dict[str, tuple[type, ...]] = {
    "Iterable": (str, list, tuple, dict, set),
    "Sequence": (str, list, tuple),
    "Number": (int, float),
}
_FORWARD_METHODS = ("__call__", "forward", "call")


class ClassEvaluator(FunctionEvaluator):
    """Defines classes, makes instances, and reads and sets attributes."""

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
            name = get_decorator_name(decorator)
            if name == "dataclass":
                inherited = [base.field_names or () for base in result.mro[:0:-1] if isinstance(base, UserClass)]
                own = [
                    item.target.id
                    for item in statement.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                ]
                result.field_names = tuple(dict.fromkeys([name for names in inherited for name in names] + own))
            elif name not in IGNORED_DECORATORS:
                return Unknown(f"the decorator `{ast.unparse(decorator)[:40]}` may change {statement.name}")
        return result

    def _is_known_base(self, base: object) -> bool:
        if isinstance(base, UserClass):
            return True
        return isinstance(base, LibraryName) and (
            base.library in ("torch", "keras") or base.short_name in _PLAIN_BASES | _NETWORK_BASES
        )

    def instantiate(self, user_class: UserClass, site: CallSite) -> UserInstance:
        """Make an instance of a class of the program."""
        self.used_definitions.add(user_class.node)
        self.used_definitions.update(base.node for base in user_class.mro if isinstance(base, UserClass))
        instance = UserInstance(user_class)
        start, _ = user_class.find("__init__")
        if isinstance(start, UserFunction):
            self.call_function(start, site.prepend(instance))
        elif start:
            self.heap.taint(instance, start if isinstance(start, Unknown) else Unknown("its constructor is unknown"))
        elif user_class.field_names is not None:
            self._set_fields(instance, site)
        elif user_class.library_bases:
            self.initialize_base(instance, user_class.library_bases[0], site)
        elif site.values:
            raise ProgramError("TypeError", f"{user_class.name}() takes no arguments")
        if self.find_forward(instance) or instance.base:
            self.record_network(instance, site.node)
        return instance

    def _set_fields(self, instance: UserInstance, site: CallSite) -> None:
        """Set the fields of a dataclass."""
        names = instance.user_class.field_names or ()
        given = dict(zip(names, site.positional, strict=False)) | dict(site.keywords)
        unknown = site.unknown_values or site.keywords.get("**")
        if unknown:
            instance.cells |= dict.fromkeys(names, unknown)
            return
        if len(site.positional) > len(names) or set(given) - set(names):
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
        for name in _FORWARD_METHODS:
            method, _ = instance.user_class.find(name)
            if method:
                return self._bind_method(method, instance, instance.user_class)
        return None

    def _bind_method(self, value: object, instance: object, user_class: UserClass) -> object:
        if not isinstance(value, UserFunction):
            return value
        match value.kind:
            case "staticmethod":
                return value
            case "classmethod":
                return BoundMethod(user_class, value)
            case "property" if isinstance(instance, UserInstance):
                return self.call_function(value, CallSite(value.node, (instance,)))
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

    def call_special_method(self, owner: UserInstance, name: str, site: CallSite) -> object:
        """Call a method such as ``__len__``; NotImplemented if the class has none."""
        method, _ = owner.user_class.find(name)
        if isinstance(method, UserFunction):
            return self.call_function(method, site.prepend(owner))
        return NotImplemented if method is None else Unknown(f"{name} cannot be followed")

    def is_instance(self, value: object, classes: object) -> bool | Unknown:
        """Compute ``isinstance``."""
        if isinstance(value, Unknown):
            return value
        if isinstance(classes, tuple):
            answers = [self.is_instance(value, one) for one in classes]
            return True if True in answers else next((one for one in answers if isinstance(one, Unknown)), False)
        if isinstance(classes, UserClass):
            return isinstance(value, UserInstance) and classes in value.user_class.mro
        if isinstance(classes, Unknown):
            return classes
        if not isinstance(classes, LibraryName):
            return Unknown("isinstance(…) cannot be decided here")
        name = classes.short_name
        if name == "object":
            return True
        match value:
            case UserInstance(user_class=user_class):
                bases = [base.short_name for base in user_class.library_bases]
                if name in ("Module", "Layer", "Model") and bases:
                    return name in bases or Unknown("its base classes are not known")
                return name in bases
            case Call(name=kind):
                return name in ("Module", "Layer", kind, kind.removeprefix("Lazy"))
            case ModuleSequence(kind=kind):
                return name in (kind, "Module", "Layer", "Model" if kind == "Sequential" else kind)
            case SymbolicTensor() | Parameter():
                return name in ("Tensor", "Parameter" if isinstance(value, Parameter) else "Tensor")
            case str() | int() | float() | list() | tuple() | dict() | set() | None:
                if classes.library == "builtins":
                    return classes.name in [base.__name__ for base in type(value).__mro__]
                if classes.library in ("torch", "keras"):
                    return False
                if name in _ABSTRACT_TYPES:
                    return isinstance(value, _ABSTRACT_TYPES[name])
        return Unknown("isinstance(…) cannot be decided here")


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
