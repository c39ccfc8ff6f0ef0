"""Puts the layers of one network together, call by call. What cannot be read is collected: one error says all."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from playground.code_import.arguments import Arguments, Misread, call_text
from playground.code_import.ops import InputSize, Padding, Part, Piece, Reorder, Scores, Squeeze, Words
from playground.code_import.values import Call
from playground.core.json_io import validation_text
from playground.core.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Residual,
)
from playground.core.shapes import Shape, element_count, is_map
from playground.errors import ArchitectureError

_NEEDS = {
    Padding: "belongs to a convolution or a pooling layer right after it",
    Squeeze: "needs a Flatten right after it",
    Reorder: "needs a Flatten right after it",
}
_INNER = (Conv2d, BatchNorm, Dropout, Activation)


@dataclass(frozen=True)
class Source:
    """What every call of a text is read with: the library's words, the text, the units that the code leaves open."""

    words: Words
    text: str
    open_units: dict[Call, int]
    flattens: bool


@dataclass(frozen=True)
class Placed:
    """A layer in its place, with the call it came from and a residual block's own way around."""

    layer: Layer
    call: Call
    expected_size: int | None = None
    shortcut: Conv2d | None = None


class Assembly:
    """``read`` takes one call after another; then ``placed``, ``remarks`` and ``problems`` say what came of it."""

    def __init__(self, source: Source, shape: Shape, used: set[Call] | None = None) -> None:
        self.placed: list[Placed] = []
        self.remarks: list[str] = []
        self.problems: list[str] = []
        self.stated: Shape | None = None
        self._source = source
        self._shape = shape
        self._waiting: tuple[Padding | Squeeze | Reorder, Call] | None = None
        self._scores: Call | None = None
        self._is_block = used is not None
        self._used: set[Call] = set() if used is None else used

    def read(self, call: Call) -> None:
        """Add what a call comes to, or the reason why it comes to nothing."""
        try:
            if call.body:
                self._place_block(call)
                return
            for piece in self._pieces(call):
                self._add(piece, call)
        except Misread as reason:
            self.refuse(call, str(reason))
        except ArchitectureError as problem:
            self.refuse(call, f"is out of bounds here: {problem}".rstrip("."))
        except ValidationError as problem:
            self.refuse(call, f"is out of bounds here: {validation_text(problem).rstrip('.')}")

    def finish(self) -> None:
        """Refuse what still waits for another layer, and probabilities inside of a block."""
        if self._waiting:
            self.refuse(self._waiting[1], _NEEDS[type(self._waiting[0])])
        if self._is_block:
            self._refuse_scores()

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the code makes probabilities of the last layer's scores."""
        return self._scores is not None

    def refuse(self, call: Call, reason: str) -> None:
        """Name a call that cannot be read, with the reason as the end of the sentence."""
        self.problems.append(f"Line {call.line}: {call_text(call, self._source.text)} {reason[:200]}.")

    def _refuse_scores(self) -> None:
        if self._scores:
            self.refuse(self._scores, "makes probabilities in the middle of the network; that is left to the output")
            self._scores = None

    def _pieces(self, call: Call) -> list[Piece]:
        if call.name not in self._source.words:
            in_sight = call.name in call_text(call, self._source.text).partition("(")[0]
            raise Misread("is not known here" if in_sight else f"has {call.name} in it, which is not known here")
        names, reader = self._source.words[call.name]
        arguments = Arguments(call, names, self.remarks.append, self._source.open_units.get(call))
        pieces = reader(arguments, self._shape)
        arguments.finish()
        if any(isinstance(piece, Part) and piece.layer.has_weights for piece in pieces):
            if call in self._used:
                raise Misread("is used twice: layers cannot share their weights here")
            self._used.add(call)
        return pieces

    def _add(self, piece: Piece, call: Call) -> None:
        match piece:
            case InputSize(shape=shape):
                self._state(shape)
            case Scores():
                self._scores = call
            case Part(layer=layer, expected_size=size):
                self._place(Placed(self._joined_with_waiting(layer), call, size))
            case _ if self._waiting:
                raise Misread(f"comes between a layer and the one that it belongs to (line {self._waiting[1].line})")
            case _:
                self._waiting = (piece, call)

    def _state(self, shape: Shape) -> None:
        if (self.placed or self._is_block) and shape != self._shape:
            raise Misread("says another shape in the middle of the network")
        if not self.placed:
            self._shape = shape
            self.stated = shape if is_map(shape) else None

    def _joined_with_waiting(self, layer: Layer) -> Layer:
        """The layer, with what stood before it for its sake."""
        if not self._waiting:
            return layer
        (waiting, call), self._waiting = self._waiting, None
        match waiting, layer:
            case Padding(pixels=pixels, lowest=False), Conv2d(padding=0) | AvgPool2d(padding=0):
                return layer.changed(padding=pixels)
            case Padding(pixels=pixels, lowest=True), MaxPool2d(padding=0):
                return layer.changed(padding=pixels)
            case Squeeze(), Flatten():
                return GlobalAvgPool()
            case Reorder(), Flatten():
                return layer
        self.refuse(call, _NEEDS[type(waiting)])
        return layer

    def _place(self, new: Placed) -> None:
        self._refuse_scores()
        if not self.placed:
            new = self._first(new)
        last = self.placed[-1] if self.placed else None
        if isinstance(new.layer, Activation) and last and getattr(last.layer, "activation", "") == "none":
            self.placed[-1] = replace(last, layer=last.layer.changed(activation=new.layer.activation))
            return
        self._append(new)

    def _append(self, new: Placed) -> None:
        self.placed.append(new)
        self._shape = new.layer.output_shape(self._shape)

    def _first(self, new: Placed) -> Placed:
        """The first layer; a Flatten comes before one that takes values in a row, for images have height and width."""
        stated = None if is_map(self._shape) else self._shape[0]
        if isinstance(new.layer, Flatten):
            return replace(new, expected_size=new.expected_size or stated)
        if stated or (isinstance(new.layer, Linear) and self._source.flattens):
            self.remarks.append(
                "A Flatten was put first: the network takes values in a row, images have height and width."
            )
            self._append(Placed(Flatten(), new.call, stated or new.expected_size))
        return new

    def _place_block(self, call: Call) -> None:
        """A residual block, unless a line in it cannot be read."""
        known = len(self.problems)
        inner, around = (self._inside(calls) for calls in (call.body, call.shortcut))
        if len(self.problems) > known:
            return
        if any(not isinstance(layer, _INNER) for layer in inner) or len(around) > 1:
            raise Misread("adds up two ways that are more than a block of convolutions here and its shortcut")
        shortcut = around[0] if around else None
        if not isinstance(shortcut, Conv2d | None):
            raise Misread(f"has a shortcut with {shortcut.title} in it; it can be a 1×1 convolution")
        block = Residual.model_validate({"layers": inner, "activation": "none"})
        self._place(Placed(block, call, shortcut=shortcut))

    def _inside(self, calls: tuple[Call, ...]) -> tuple[Layer, ...]:
        assembly = Assembly(self._source, self._shape, self._used)
        for call in calls:
            assembly.read(call)
        assembly.finish()
        self.problems += assembly.problems
        self.remarks += assembly.remarks
        return tuple(placed.layer for placed in assembly.placed)

    def misfits(self, shape: Shape) -> Iterator[str]:
        """Where the code states another size than the layers before give, for an input of ``shape``."""
        for placed in self.placed:
            layer = placed.layer
            after = layer.output_shape(shape)
            size = shape[0] if isinstance(layer, Conv2d | BatchNorm) else element_count(shape)
            size = after[0] if isinstance(layer, GlobalAvgPool) else size
            if placed.expected_size not in (None, size):
                text = call_text(placed.call, self._source.text)
                yield f"Line {placed.call.line}: {text} takes {placed.expected_size} values, but gets {size}."
            shape = after
