"""Networks of run snapshots: frozen, in float32, cached for all sessions."""

from dataclasses import dataclass

import torch
from torch import nn

from playground.core.architecture import Architecture
from playground.engine.cache import ByteBoundedCache
from playground.engine.model.build import build_model
from playground.engine.runs.run import Run
from playground.errors import StorageError

_MAX_CACHED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Model:
    """Network at one step of a run; ``module`` is in eval mode and its weights need no gradient."""

    run_id: str
    step: int
    architecture: Architecture
    module: nn.Sequential


_model_cache: ByteBoundedCache[tuple[str, int, int], Model] = ByteBoundedCache(_MAX_CACHED_BYTES)


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
    return _model_cache.get_or_compute(
        key, lambda: Model(run.id, step, run.record.architecture, _rebuild_module(run, step))
    )


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
