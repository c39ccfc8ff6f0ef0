"""CUDA graphs: a function over tensors that never move, captured once and then replayed with a single launch.

Where there is no CUDA, or a capture fails, the same function runs eagerly over the same tensors: the same numbers.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM_UP_CALLS = 2  # kernels are loaded, algorithms chosen and workspaces allocated, none of which a capture allows


@dataclass(frozen=True)
class CapturedFunction:
    """A function and the CUDA graph that was captured from it, None where it runs eagerly.

    The function is mutated_tensors, since it holds on to tensors whose addresses are in the graph.
    """

    function: Callable[[], None]
    graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do what the function does."""
        if self.graph is None:
            self.function()
        else:
            self.graph.replay()


class GraphCapture:
    """Turns functions into replays on one device; their graphs share one pool of memory and never run at once.

    A captured function may draw from ``generators`` (and torch's default one): whoever replays it seeds them first.
    ``failure_reason`` says why functions run eagerly; empty as long as they are captured.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator] = ()) -> None:
        self.failure_reason = "" if device.type == "cuda" else "Captured steps need CUDA."
        self._device = device
        self._generators = generators
        self._stream = None if self.failure_reason else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = None if self.failure_reason else torch.cuda.graph_pool_handle()

    def capture(self, function: Callable[[], None], mutated_tensors: Sequence[Tensor]) -> CapturedFunction:
        """Run ``function`` for warm-up, put ``mutated_tensors`` (all that it changes) back, capture it and return its replay.

        The default generator is put back too. Raises torch.OutOfMemoryError where the device has no room for it.
        """
        eager = _use_deterministic_algorithms(function)
        generator = get_default_generator(self._device)
        random_state = generator.get_state()
        try:
            with self._side_stream():
                _warm_up(eager, mutated_tensors)
            return CapturedFunction(eager) if self.failure_reason else self._capture_or_fall_back(eager)
        finally:
            generator.set_state(random_state)

    @contextlib.contextmanager
    def _side_stream(self) -> Iterator[None]:
        """A stream of its own, as a capture needs, after what the current one has to do and before what comes next."""
        if self._stream is None:
            yield
            return
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def _capture_or_fall_back(self, eager: Callable[[], None]) -> CapturedFunction:
        try:
            return CapturedFunction(eager, self._capture_graph(eager))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.failure_reason = f"The CUDA graph could not be captured: {str(error).splitlines()[0]}"
            return CapturedFunction(eager)

    def _capture_graph(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        # As torch.cuda.graph does, but for emptying the allocator's cache, which costs more than the capture.
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        torch.cuda.synchronize(self._device)
        with self._side_stream(), _pause_garbage_collection():
            graph.capture_begin(pool=self._pool)
            try:
                function()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # the capture is invalid, which is why it ends here
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph


def _warm_up(function: Callable[[], None], mutated_tensors: Sequence[Tensor]) -> None:
    saved = [tensor.clone() for tensor in mutated_tensors]
    for _ in range(_WARM_UP_CALLS):
        try:
            function()
        finally:
            for tensor, value in zip(mutated_tensors, saved, strict=True):
                tensor.copy_(value)


def get_default_generator(device: torch.device) -> torch.Generator:
    """The generator from which dropout draws on a device."""
    if device.type != "cuda":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    generator: torch.Generator = torch.cuda.default_generators[index]
    return generator


@contextlib.contextmanager
def fork_generator(generator: torch.Generator, seed: int) -> Iterator[None]:
    """Let a generator draw from ``seed`` inside the block, and go on afterwards as if nothing had been drawn."""
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


@contextlib.contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Keep older graphs and tensors, forgotten in reference cycles, from being freed inside a capture."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _use_deterministic_algorithms(function: Callable[[], None]) -> Callable[[], None]:
    """Run it with the convolution algorithms that give the same bits every time."""

    def run() -> None:
        before = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = True
        try:
            function()
        finally:
            torch.backends.cudnn.deterministic = before

    return run
