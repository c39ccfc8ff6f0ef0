"""Benchmark of training on a GPU: ``python -m benchmarks.gpu_training --out FILE.json [--skip SECTION …]``.

Compares captured CUDA graphs with eager steps, alternating in one process; the figures are medians of the rounds.
The file is written after every section, so an interrupted benchmark keeps its results.
"""

import argparse
import gc
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.data import create_temporary_home, describe_machine, print_table
from playground.core.architecture import Architecture
from playground.core.events import Event
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.recipe import Recipe
from playground.engine.runs.fork import fork_run, load_recipe_at
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.replay import Replay
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.training.command_sources import NullCommandSource
from playground.engine.training.learner import Learner
from playground.engine.training.trainer import Trainer

PRESETS = (
    "guide",
    "simple",
    "lenet5",
    "dash",
    "tiny",
    "normalized",
    "residual",
    "vgg",
    "separable",
    "all-convolutional",
)
AUGMENTATION = get_recipe_preset("careful").recipe.augmentation
SPRINT = get_recipe_preset("sprint").recipe
_PROFILED_STEPS = 40


@contextmanager
def use_eager_steps() -> Iterator[None]:
    """Make trainers that are created inside the block use eager steps."""
    with patch("playground.engine.training.trainer.select_learner_class", lambda _: Learner):
        yield


@contextmanager
def use_nondeterministic_algorithms() -> Iterator[None]:
    """Let graphs captured inside the block use nondeterministic convolution algorithms."""
    with patch("playground.engine.training.cuda_graph._use_deterministic_algorithms", lambda function: function):
        yield


def measure_throughput(architecture: Architecture, recipe: Recipe, seconds: float) -> float:
    """Measure the throughput of training steps for about ``seconds`` seconds, after 20 warm-up steps."""
    trainer = Trainer(architecture, recipe.replace(epochs=1000))
    first, rates = None, []
    for event in trainer.run():
        if event.kind == "run_failed":
            raise RuntimeError(event.what)
        if event.kind != "step_done" or event.step < 20:
            continue
        first = first or event
        rates.append(event.images_per_second)
        if event.elapsed_s - first.elapsed_s > seconds:
            break
    del trainer
    gc.collect()
    return statistics.harmonic_mean(rates)


def measure_presets(rounds: int, seconds: float, results: dict[str, Any]) -> None:
    """Measure eager and captured throughput of every preset, with and without augmentation."""
    for name in PRESETS:
        architecture = get_architecture_preset(name).architecture
        row: dict[str, Any] = {}
        for label, augmentation in (("plain", ()), ("augmented", AUGMENTATION)):
            recipe = SPRINT.replace(augmentation=[item.model_dump() for item in augmentation])
            speeds: dict[str, list[float]] = {"eager": [], "captured": []}
            for _ in range(rounds):
                with use_eager_steps():
                    speeds["eager"].append(measure_throughput(architecture, recipe, seconds))
                speeds["captured"].append(measure_throughput(architecture, recipe, seconds))
            eager, captured = (statistics.median(found) for found in speeds.values())
            row[label] = {"eager": eager, "captured": captured, "ratio": captured / eager, "rounds": speeds}
        results[name] = row


def record_run(architecture: Architecture, recipe: Recipe) -> tuple[list[Event], dict[str, float]]:
    """Train and record a complete run; returns its events and the seconds of set-up and training."""
    started = time.perf_counter()
    run = create_run(architecture, recipe)
    trainer = Trainer(architecture, recipe)
    torch.cuda.synchronize()
    ready = time.perf_counter()
    with Recorder(run) as recorder:
        events = list(recorder.run_trainer(trainer, NullCommandSource()))
    ended = time.perf_counter()
    del trainer
    gc.collect()
    return events, {"setup_s": ready - started, "run_s": ended - ready, "elapsed_s": events[-1].elapsed_s}


def find_test_accuracy(events: list[Event]) -> float:
    """Return the accuracy of the last test evaluation; raises RuntimeError for a run that failed."""
    for event in reversed(events):
        if event.kind == "evaluated" and event.split == "test":
            return event.accuracy
    raise RuntimeError(f"The run has no test accuracy; its last event is {events[-1]}")


def measure_complete_runs(seeds: int, recipe: Recipe, results: dict[str, Any]) -> None:
    """Measure duration and test accuracy of complete runs of the guide's network with ``seeds`` seeds."""
    architecture = get_architecture_preset("guide").architecture
    rows = []
    for seed in range(seeds):
        events, times = record_run(architecture, recipe.replace(seed=seed))
        rows.append({"seed": seed, "accuracy": find_test_accuracy(events), **times})
    accuracies = [row["accuracy"] for row in rows]
    mean = statistics.mean(accuracies)
    interval = 1.96 * statistics.stdev(accuracies) / len(accuracies) ** 0.5 if len(accuracies) > 1 else 0.0
    results |= {
        "batch_size": recipe.batch_size,
        "accuracy_mean": mean,
        "accuracy_interval": [mean - interval, mean + interval],
        "accuracy_min": min(accuracies),
        **{f"{key}_median": statistics.median(row[key] for row in rows) for key in ("setup_s", "run_s", "elapsed_s")},
        "rows": rows,
    }


def measure_event_times(recipe: Recipe, results: dict[str, Any]) -> None:
    """Measure the time that a complete run spends on training and on recording, by kind of event."""
    architecture = get_architecture_preset("guide").architecture
    trainer = Trainer(architecture, recipe)
    seconds: dict[str, float] = defaultdict(float)
    with Recorder(create_run(architecture, recipe)) as recorder:
        recorder._restore_trainer(trainer)
        before = time.perf_counter()
        for event in trainer.run():
            yielded = time.perf_counter()
            recorder._record_event(event, trainer)
            after = time.perf_counter()
            seconds[f"{event.kind}, training"] += yielded - before
            seconds[f"{event.kind}, recording"] += after - yielded
            seconds[f"{event.kind}, count"] += 1
            before = after
    results |= {key: round(value, 6) for key, value in sorted(seconds.items(), key=lambda item: -item[1])}


def profile_steps(architecture: Architecture, recipe: Recipe, results: dict[str, Any]) -> None:
    """Profile the kernels of a captured step (count and microseconds) and the CPU time of its launch."""
    learner = Trainer(architecture, recipe)._learner
    for _ in range(20):
        learner.train_batch()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(_PROFILED_STEPS):
        learner.train_batch()
    launched = time.perf_counter()
    torch.cuda.synchronize()
    ended = time.perf_counter()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(_PROFILED_STEPS):
            learner.train_batch()
        torch.cuda.synchronize()
    kernels: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in profiler.events():
        if event.device_type.name == "CUDA":
            kernels[event.name][0] += 1 / _PROFILED_STEPS
            kernels[event.name][1] += event.device_time_total / _PROFILED_STEPS
    ordered = sorted(kernels.items(), key=lambda item: -item[1][1])
    results |= {
        "launch_us_per_step": (launched - started) / _PROFILED_STEPS * 1e6,
        "step_us": (ended - started) / _PROFILED_STEPS * 1e6,
        "kernel_us_per_step": sum(us for _, us in kernels.values()),
        "kernels_per_step": sum(count for count, _ in kernels.values()),
        "kernels": [
            {"name": name[:160], "count": round(count, 2), "us": round(us, 2)} for name, (count, us) in ordered
        ],
    }


def measure_variants(seconds: float, results: dict[str, Any]) -> None:
    """Measure throughput of the guide's network with variants of the sprint recipe."""
    guide = get_architecture_preset("guide").architecture
    results["deterministic, bfloat16"] = measure_throughput(guide, SPRINT, seconds)
    with use_nondeterministic_algorithms():
        results["nondeterministic, bfloat16"] = measure_throughput(guide, SPRINT, seconds)
        results["nondeterministic, float32"] = measure_throughput(guide, SPRINT.replace(precision="float32"), seconds)
    results["deterministic, float32"] = measure_throughput(guide, SPRINT.replace(precision="float32"), seconds)
    for size in (32, 512, 2048):
        results[f"batch of {size}"] = measure_throughput(guide, SPRINT.replace(batch_size=size), seconds)


def check_reproducibility(results: dict[str, Any]) -> None:
    """Check that resumed, forked and replayed runs have exactly the weights of an uninterrupted run."""
    for name in ("guide", "normalized"):
        architecture = get_architecture_preset(name).architecture
        settings = {"limit": 5000, "epochs": 2, "augmentation": [item.model_dump() for item in AUGMENTATION]}
        recipe = SPRINT.replace(**settings)
        parent = create_run(architecture, recipe)
        whole = _train_run(parent)
        cut = create_run(architecture, recipe)
        _train_run(cut, until=lambda event: event.kind == "step_done" and event.step == 60)
        checkpoint_step = parent.list_checkpoint_steps()[len(parent.list_checkpoint_steps()) // 2]
        fork = fork_run(parent, checkpoint_step, load_recipe_at(parent, checkpoint_step))
        replay = Replay(parent)
        for _ in replay.run():
            pass
        matches = replay.snapshot_matches.values()
        results[name] = {
            "eager_reason": whole._learner.eager_reason,
            "resumed after interruption": _have_equal_weights(_train_run(cut), whole),
            "forked": _have_equal_weights(_train_run(fork), whole),
            "identical replayed snapshots": f"{sum(matches)} of {len(matches)}",
        }


def _train_run(run: Run, until: Callable[[Event], bool] = lambda event: False) -> Trainer:
    trainer = Trainer(run.record.architecture, run.record.recipe)
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            if event.kind == "run_failed":
                raise RuntimeError(event.what)
            if until(event):
                break
    return trainer


def _have_equal_weights(left: Trainer, right: Trainer) -> bool:
    weights, others = left.get_weights(), right.get_weights()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def measure_setup(results: dict[str, Any]) -> None:
    """Measure the seconds to create a trainer: the first of the process, which loads kernels, and later ones."""
    started = time.perf_counter()
    torch.zeros(1, device="cuda")
    results["cuda_s"] = time.perf_counter() - started
    guide = get_architecture_preset("guide").architecture
    for name in ("first_s", "second_s", "third_s"):
        started = time.perf_counter()
        Trainer(guide, SPRINT)
        torch.cuda.synchronize()
        results[name] = time.perf_counter() - started
    with use_eager_steps():
        started = time.perf_counter()
        Trainer(guide, SPRINT)
        torch.cuda.synchronize()
        results["eager_s"] = time.perf_counter() - started


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables; the file has all figures."""
    for name in ("setup", "reproducibility", "event_times", "variants"):
        if name in results:
            print(f"\n{name}: {json.dumps(results[name], indent=1)}")
    for name in ("profile", "profile_augmented"):
        if name in results:
            rows = [("kernel", "count per step", "us per step")]
            found = results[name]
            rows += [(one["name"][:90], str(one["count"]), str(one["us"])) for one in found.get("kernels", [])[:45]]
            print(f"\n{name}: { ({key: value for key, value in found.items() if key != 'kernels'}) }")
            print_table(rows)
    for name in ("complete_runs", "complete_runs_eager"):
        if name in results:
            print(f"\n{name}: { ({key: value for key, value in results[name].items() if key != 'rows'}) }")
    if "presets" in results:
        table: list[tuple[str, ...]] = [
            ("preset", "eager", "captured", "ratio", "augmented: eager", "captured", "ratio")
        ]
        for name, row in results["presets"].items():
            cells = []
            for label in ("plain", "augmented"):
                found = row[label]
                cells += [f"{found['eager']:,.0f}", f"{found['captured']:,.0f}", f"{found['ratio']:.1f}"]
            table.append((name, *cells))
        print()
        print_table(table)


def main() -> None:
    """Run the sections of the benchmark in order of importance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--skip", nargs="*", default=[])
    options = parser.parse_args()
    guide = get_architecture_preset("guide").architecture
    augmented = SPRINT.replace(augmentation=[item.model_dump() for item in AUGMENTATION])
    sections: dict[str, Callable[[dict[str, Any]], None]] = {
        "setup": measure_setup,
        "complete_runs": lambda found: measure_complete_runs(options.seeds, SPRINT.replace(batch_size=128), found),
        "profile": lambda found: profile_steps(guide, SPRINT, found),
        "event_times": lambda found: measure_event_times(SPRINT, found),
        "reproducibility": check_reproducibility,
        "presets": lambda found: measure_presets(options.rounds, options.seconds, found),
        "variants": lambda found: measure_variants(options.seconds, found),
        "profile_augmented": lambda found: profile_steps(guide, augmented, found),
    }
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
    }
    sections["complete_runs_eager"] = lambda found: _run_with_eager_steps(measure_complete_runs, 3, SPRINT, found)
    with create_temporary_home():
        for name, measure in sections.items():
            if name in options.skip:
                continue
            results[name] = {}
            started = time.perf_counter()
            try:
                measure(results[name])
            except Exception as error:  # the other sections still run
                results[name]["error"] = f"{type(error).__name__}: {error}"
            results.setdefault("section_s", {})[name] = round(time.perf_counter() - started, 1)
            options.out.write_text(json.dumps(results, indent=1))
    try:
        print_results(results)
    finally:
        print(
            f"\n{results['device']}, PyTorch {results['torch']}. {results['machine']}. {results.get('section_s', {})}"
        )


def _run_with_eager_steps(measure: Callable[..., None], *arguments: Any) -> None:
    with use_eager_steps():
        measure(*arguments)


if __name__ == "__main__":
    main()
