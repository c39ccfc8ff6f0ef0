"""Capture of functions as CUDA graphs.

A captured function works on tensors with fixed addresses and is replayed with a single launch. Without CUDA, or if
the capture fails, the same function runs eagerly on the same tensors and gives the same numbers.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM_UP_CALLS = 2  # a capture cannot load kernels, choose algorithms or allocate workspaces


@dataclass(frozen=True)
class CapturedFunction:
    """A function with its CUDA graph; without a graph it runs eagerly.

    The function is kept because it references the tensors whose addresses are in the graph.
    """

    function: Callable[[], None]
    graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Replay the graph, or run the function."""
        if self.graph is None:
            self.function()
        else:
            self.graph.replay()


class GraphCapture:
    """Captures functions on one device; the graphs share one memory pool and must not run concurrently.

    A captured function may draw from ``generators`` and torch's default generator; the caller seeds them before a
    replay. ``failure_reason`` is the reason why functions run eagerly, empty while captures succeed.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator] = ()) -> None:
        self.failure_reason = "" if device.type == "cuda" else "Captured steps need CUDA."
        self._device = device
        self._generators = generators
        self._stream = None if self.failure_reason else torch.cuda.Stream(device)
        self._pool = None if self.failure_reason else torch.cuda.graph_pool_handle()

    def capture(self, function: Callable[[], None], mutated_tensors: Sequence[Tensor]) -> CapturedFunction:
        """Warm up and capture ``function``.

        The warm-up's changes to ``mutated_tensors`` and to the default generator are undone, so the list must name
        every tensor whose content matters later. Raises torch.OutOfMemoryError if the device's memory is too small.
        """
        eager = _use_deterministic_algorithms(function)
        generator = get_default_generator(self._device)
        random_state = generator.get_state()
        try:
            with self._use_side_stream():
                _warm_up(eager, mutated_tensors)
            return CapturedFunction(eager) if self.failure_reason else self._capture_or_fall_back(eager)
        finally:
            generator.set_state(random_state)

    @contextlib.contextmanager
    def _use_side_stream(self) -> Iterator[None]:
        """Run the block on a separate stream, as captures require, ordered with the work of the current stream."""
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
        # Like torch.cuda.graph, but without emptying the allocator's cache, which takes longer than the capture.
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        torch.cuda.synchronize(self._device)
        with self._use_side_stream(), _pause_garbage_collection():
            graph.capture_begin(pool=self._pool)
            try:
                function()
            except BaseException:
                with contextlib.suppress(RuntimeError):  # ending an invalid capture raises too
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph


def _warm_up(function: Callable[[], None], mutated_tensors: Sequence[Tensor]) -> None:
    saved_values = [tensor.clone() for tensor in mutated_tensors]
    for _ in range(_WARM_UP_CALLS):
        try:
            function()
        finally:
            for tensor, value in zip(mutated_tensors, saved_values, strict=True):
                tensor.copy_(value)


def get_default_generator(device: torch.device) -> torch.Generator:
    """Return torch's default generator of a device, from which dropout draws."""
    if device.type != "cuda":
        return torch.default_generator
    index = torch.cuda.current_device() if device.index is None else device.index
    generator: torch.Generator = torch.cuda.default_generators[index]
    return generator


@contextlib.contextmanager
def fork_generator(generator: torch.Generator, seed: int) -> Iterator[None]:
    """Seed a generator inside the block and restore its state afterwards."""
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


@contextlib.contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Disable garbage collection: freeing an unreachable graph or tensor would invalidate a running capture."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _use_deterministic_algorithms(function: Callable[[], None]) -> Callable[[], None]:
    """Wrap a function so that cuDNN uses deterministic convolution algorithms."""

    def run() -> None:
        was_deterministic = torch.backends.cudnn.deterministic
        torch.backends.cudnn.deterministic = True
        try:
            function()
        finally:
            torch.backends.cudnn.deterministic = was_deterministic

    return run
