"""State of the interpreter, and the operations that its parts need of each other."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from playground.code_import.interpreter.heap import Heap
from playground.code_import.interpreter.values import (
    Call,
    CallSite,
    Frame,
    LibraryName,
    ModuleSequence,
    Network,
    Scope,
    SymbolicTensor,
    Unknown,
    UserFunction,
    UserInstance,
)

HOST_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)
"""Errors of this process that stand for the same error of the program."""


@dataclass(frozen=True)
class Use:
    """Use of a network, or of an unknown value in the place of one; ``is_undecided``: it may not happen."""

    value: object
    node: ast.AST
    kind: str
    is_undecided: bool


class Evaluator(ABC):
    """Base class of the interpreter's parts; each implements the operations on one kind of values."""

    def __init__(self) -> None:
        self.heap = Heap()
        self.unknown_call_count = 0
        """Number of operations on unknown values and calls of code that is not here; each may raise an error."""
        self.training: bool | Unknown = Unknown("it depends on whether the network is training")
        """Mode in which the network is applied."""
        self.used_definitions: set[ast.AST] = set()
        self.networks: list[tuple[Network, ast.AST, bool]] = []
        """Every network in the order of creation, with its place, and True if it may not be made."""
        self.uses: list[Use] = []
        """Networks, and unknown values in the place of one, that the program trains, applies or assigns, in order."""
        self.notes: list[str] = []
        self.example_shapes: dict[int, set[tuple[int, ...]]] = {}
        """Shapes without batch of the example tensors that layers are applied to, by the layer's identity."""
        self.star_library = ""
        """Library of which the program imports all names."""
        self.is_filling = False
        """Give unknown values to arguments that a call lacks."""
        self.frames: list[Frame] = []

    @abstractmethod
    def find_name(self, name: str, scope: Scope, node: ast.AST) -> object:
        """Return the value of a name."""

    @abstractmethod
    def assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        """Assign a value to a name, an attribute, an item or several targets."""

    @abstractmethod
    def choose(
        self, condition: object, node: ast.AST, then: Callable[[], object], otherwise: Callable[[], object]
    ) -> object:
        """Evaluate one of two alternatives; if the condition is unknown, both, and join their effects."""

    @abstractmethod
    def call_value(self, function: object, site: CallSite) -> object:
        """Call a value."""

    @abstractmethod
    def call_method(self, owner: object, name: str, site: CallSite) -> object:
        """Call a method of a layer, a sequence, a tensor or a plain value."""

    @abstractmethod
    def call_object_builtin(self, name: str, site: CallSite) -> object:
        """Call a built-in function, some of which know objects."""

    @abstractmethod
    def call_special_method(self, owner: UserInstance, name: str, site: CallSite) -> object:
        """Call a method such as ``__len__``; NotImplemented if the class has none."""

    @abstractmethod
    def run_body(self, function: UserFunction, scope: Scope) -> object:
        """Execute the body of a function; return its value."""

    @abstractmethod
    def get_attribute(self, owner: object, name: str, node: ast.AST) -> object:
        """Return an attribute of a value."""

    @abstractmethod
    def get_library_attribute(self, owner: object, name: str, node: ast.AST) -> object:
        """Return an attribute of a layer, a sequence, a tensor or a plain value."""

    @abstractmethod
    def set_library_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """Set an attribute of a value that is no instance of the program's classes."""

    @abstractmethod
    def get_part(self, sequence: ModuleSequence, key: object, node: ast.AST) -> object:
        """Return a part or a slice of a sequence of modules."""

    @abstractmethod
    def apply_tensor_operator(
        self, operator: ast.operator, left: object, right: object, node: ast.AST, *, is_in_place: bool
    ) -> object:
        """Record an arithmetic operation on tensors."""

    @abstractmethod
    def extend(self, tensor: SymbolicTensor, *calls: Call) -> SymbolicTensor:
        """Return the tensor after more calls."""

    @abstractmethod
    def initialize_base(self, instance: UserInstance, base: LibraryName, site: CallSite) -> None:
        """Call the constructor of a library's class for an instance of a derived class."""

    @abstractmethod
    def record_network(self, value: Network, node: ast.AST) -> None:
        """Record a network that the program made."""
