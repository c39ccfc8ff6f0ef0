"""Networks of run snapshots: frozen, in float32, cached for all sessions."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from playground.core.architecture import Architecture
from playground.engine.model.build import build_model
from playground.engine.runs.run import Run
from playground.errors import StorageError

_MAX_CACHED_MODELS = 32
_MAX_CACHED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Model:
    """Network at one step of a run; ``module`` is in eval mode and its weights need no gradient."""

    run_id: str
    step: int
    architecture: Architecture
    module: nn.Sequential


_model_cache: OrderedDict[tuple[str, int, int], Model] = OrderedDict()
_lock = threading.Lock()


def load_model(run: Run, step: int | None = None) -> Model:
    """Load the run's network at a step (default: its latest snapshot); raises StorageError if there is none."""
    if step is None:
        steps = run.list_snapshot_steps()
        if not steps:
            raise StorageError(
                f"Run {run.id} has no weights to look at yet.",
                expected="The first ones are saved as soon as training begins.",
                fix="Wait until training has begun, or train it.",
            )
        step = steps[-1]
    key = (str(run.folder), step, run.get_snapshot_mtime_ns(step))
    with _lock:
        if key in _model_cache:
            _model_cache.move_to_end(key)
            return _model_cache[key]
    model = Model(run.id, step, run.record.architecture, _rebuild_module(run, step))
    with _lock:
        _model_cache[key] = model
        while len(_model_cache) > _MAX_CACHED_MODELS or (
            len(_model_cache) > 2 and _count_cached_bytes() > _MAX_CACHED_BYTES
        ):
            _model_cache.popitem(last=False)
    return model


def _count_cached_bytes() -> int:
    return sum(weight.numel() * 4 for model in _model_cache.values() for weight in model.module.parameters())


def _rebuild_module(run: Run, step: int) -> nn.Sequential:
    weights = run.load_snapshot(step)
    module = build_model(run.record.architecture)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise StorageError(
            f"The weights of run {run.id} at step {step} do not fit its network.",
            expected=str(error).splitlines()[-1].strip(),
            fix="Train again; the run folder was changed.",
        ) from error
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def limit_threads(count: int = 1) -> None:
    """Limit the threads of a server's own forward passes, so that workers get the cores."""
    torch.set_num_threads(count)
