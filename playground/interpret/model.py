"""The networks that lenses look into: rebuilt from a run's snapshot, frozen, in float32, shared between pages."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from playground.core.architecture import Architecture
from playground.engine.model.build import build
from playground.engine.runs.run import Run
from playground.errors import StoreError

_MOST_KEPT = 32
_MOST_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Model:
    """A network at one moment of a run; ``module`` is in eval mode and its weights take no gradient."""

    run_id: str
    step: int
    architecture: Architecture
    module: nn.Sequential


_models: OrderedDict[tuple[str, int, int], Model] = OrderedDict()
_lock = threading.Lock()


def load_model(run: Run, step: int | None = None) -> Model:
    """The run's network at a step (default: its latest snapshot); raises StoreError if there is none."""
    if step is None:
        steps = run.snapshots()
        if not steps:
            raise StoreError(
                f"Run {run.id} has no weights to look at yet.",
                expected="The first ones are saved as soon as training begins.",
                fix="Wait a moment, or train it.",
            )
        step = steps[-1]
    key = (str(run.folder), step, run.snapshot_stamp(step))
    with _lock:
        if key in _models:
            _models.move_to_end(key)
            return _models[key]
    model = Model(run.id, step, run.record.architecture, _rebuilt(run, step))
    with _lock:
        _models[key] = model
        while len(_models) > _MOST_KEPT or (len(_models) > 2 and _bytes_kept() > _MOST_KEPT_BYTES):
            _models.popitem(last=False)
    return model


def _bytes_kept() -> int:
    return sum(weight.numel() * 4 for model in _models.values() for weight in model.module.parameters())


def _rebuilt(run: Run, step: int) -> nn.Sequential:
    weights = run.snapshot(step)
    module = build(run.record.architecture)
    try:
        module.load_state_dict(weights)
    except RuntimeError as problem:
        raise StoreError(
            f"The weights of run {run.id} at step {step} do not fit its network.",
            expected=str(problem).splitlines()[-1].strip(),
            fix="The run folder was changed by hand; train again.",
        ) from problem
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def limit_threads(count: int = 1) -> None:
    """Keep a server's own forward passes from fighting with the worker for the cores."""
    torch.set_num_threads(count)
