"""Training on a GPU, side by side: ``python -m benchmarks.gpu_training --out FILE.json [--skip SECTION …]``.

Captured CUDA graphs against eager steps, in one process, one after the other in every round; medians of the rounds.
The file is written again after every section, so that a run that is cut keeps what it has measured.
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
from playground.engine.training import cuda_graph
from playground.engine.training import trainer as train
from playground.engine.training.commands import NullCommandSource
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
def eager_steps() -> Iterator[None]:
    """Trainers made inside the block train step by step, without a captured graph."""
    before = train.select_learner_class
    train.select_learner_class = lambda _: Learner
    try:
        yield
    finally:
        train.select_learner_class = before


@contextmanager
def any_algorithm() -> Iterator[None]:
    """Convolutions of graphs captured inside the block may differ in their last bits from run to run."""
    before = cuda_graph._use_deterministic_algorithms
    cuda_graph._use_deterministic_algorithms = lambda function: function
    try:
        yield
    finally:
        cuda_graph._use_deterministic_algorithms = before


def images_per_second(architecture: Architecture, recipe: Recipe, seconds: float) -> float:
    """Of the steps alone, over about so many seconds; the first ones are not counted."""
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
    """Eager against captured throughput of every preset, with and without augmentation."""
    for name in PRESETS:
        architecture = get_architecture_preset(name).architecture
        row: dict[str, Any] = {}
        for label, augmentation in (("plain", ()), ("augmented", AUGMENTATION)):
            recipe = SPRINT.replace(augmentation=[item.model_dump() for item in augmentation])
            speeds: dict[str, list[float]] = {"eager": [], "captured": []}
            for _ in range(rounds):
                with eager_steps():
                    speeds["eager"].append(images_per_second(architecture, recipe, seconds))
                speeds["captured"].append(images_per_second(architecture, recipe, seconds))
            eager, captured = (statistics.median(found) for found in speeds.values())
            row[label] = {"eager": eager, "captured": captured, "ratio": captured / eager, "rounds": speeds}
        results[name] = row


def recorded(architecture: Architecture, recipe: Recipe) -> tuple[list[Event], dict[str, float]]:
    """A run with everything that the app does; its events, and the seconds of set-up and of the run by the clock."""
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


def test_accuracy(events: list[Event]) -> float:
    """The last event's that tells of the test images; raises RuntimeError for a run that failed."""
    for event in reversed(events):
        if event.kind == "evaluated" and event.split == "test":
            return event.accuracy
    raise RuntimeError(f"The run has no test accuracy; its last event is {events[-1]}")


def measure_whole_runs(seeds: int, recipe: Recipe, results: dict[str, Any]) -> None:
    """Seconds and test accuracy of a whole run of the guide's network, over so many seeds."""
    architecture = get_architecture_preset("guide").architecture
    rows = []
    for seed in range(seeds):
        events, times = recorded(architecture, recipe.replace(seed=seed))
        rows.append({"seed": seed, "accuracy": test_accuracy(events), **times})
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


def measure_parts(recipe: Recipe, results: dict[str, Any]) -> None:
    """Where a whole run's time goes: until the trainer yields each kind of event, and until it is recorded."""
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
    """Kernels of a captured step, with their number and microseconds a step; the processor's share of a step."""
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
        if event.device_type == torch.autograd.DeviceType.CUDA:
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
    """Throughput of the guide's network with other settings than the sprint's."""
    guide = get_architecture_preset("guide").architecture
    results["deterministic, bfloat16"] = images_per_second(guide, SPRINT, seconds)
    with any_algorithm():
        results["any algorithm, bfloat16"] = images_per_second(guide, SPRINT, seconds)
        results["any algorithm, float32"] = images_per_second(guide, SPRINT.replace(precision="float32"), seconds)
    results["deterministic, float32"] = images_per_second(guide, SPRINT.replace(precision="float32"), seconds)
    for size in (32, 512, 2048):
        results[f"batch of {size}"] = images_per_second(guide, SPRINT.replace(batch_size=size), seconds)


def check_exactness(results: dict[str, Any]) -> None:
    """Whether a run that was cut, forked or replayed has the weights of the undisturbed one, bit for bit."""
    for name in ("guide", "normalized"):
        architecture = get_architecture_preset(name).architecture
        settings = {"limit": 5000, "epochs": 2, "augmentation": [item.model_dump() for item in AUGMENTATION]}
        recipe = SPRINT.replace(**settings)
        parent = create_run(architecture, recipe)
        whole = _trained(parent)
        cut = create_run(architecture, recipe)
        _trained(cut, until=lambda event: event.kind == "step_done" and event.step == 60)
        moment = parent.list_checkpoint_steps()[len(parent.list_checkpoint_steps()) // 2]
        fork = fork_run(parent, moment, load_recipe_at(parent, moment))
        replay = Replay(parent)
        for _ in replay.run():
            pass
        results[name] = {
            "eager_reason": whole._learner.eager_reason,
            "resumed after a kill": _same(_trained(cut), whole),
            "forked": _same(_trained(fork), whole),
            "replayed snapshots that are the same": f"{sum(replay.snapshot_matches.values())} of {len(replay.snapshot_matches)}",
        }


def _trained(run: Run, until: Callable[[Event], bool] = lambda event: False) -> Trainer:
    trainer = Trainer(run.record.architecture, run.record.recipe)
    with Recorder(run) as recorder:
        for event in recorder.run_trainer(trainer, NullCommandSource()):
            if event.kind == "run_failed":
                raise RuntimeError(event.what)
            if until(event):
                break
    return trainer


def _same(left: Trainer, right: Trainer) -> bool:
    weights, others = left.get_weights(), right.get_weights()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def measure_setup(results: dict[str, Any]) -> None:
    """Seconds until a process can train: the first trainer in it, which loads kernels, and later ones."""
    started = time.perf_counter()
    torch.zeros(1, device="cuda")
    results["cuda_s"] = time.perf_counter() - started
    guide = get_architecture_preset("guide").architecture
    for name in ("first_s", "second_s", "third_s"):
        started = time.perf_counter()
        Trainer(guide, SPRINT)
        torch.cuda.synchronize()
        results[name] = time.perf_counter() - started
    with eager_steps():
        started = time.perf_counter()
        Trainer(guide, SPRINT)
        torch.cuda.synchronize()
        results["eager_s"] = time.perf_counter() - started


def print_results(results: dict[str, Any]) -> None:
    """The tables for people; the file has everything."""
    for name in ("setup", "exactness", "parts", "variants"):
        if name in results:
            print(f"\n{name}: {json.dumps(results[name], indent=1)}")
    for name in ("profile", "profile_augmented"):
        if name in results:
            rows = [("kernel", "a step", "us a step")]
            found = results[name]
            rows += [(one["name"][:90], str(one["count"]), str(one["us"])) for one in found.get("kernels", [])[:45]]
            print(f"\n{name}: { ({key: value for key, value in found.items() if key != 'kernels'}) }")
            print_table(rows)
    for name in ("whole_runs", "whole_runs_eager"):
        if name in results:
            print(f"\n{name}: { ({key: value for key, value in results[name].items() if key != 'rows'}) }")
    if "presets" in results:
        rows = [("preset", "eager", "captured", "ratio", "augmented: eager", "captured", "ratio")]
        for name, row in results["presets"].items():
            cells = []
            for label in ("plain", "augmented"):
                found = row[label]
                cells += [f"{found['eager']:,.0f}", f"{found['captured']:,.0f}", f"{found['ratio']:.1f}"]
            rows.append((name, *cells))
        print()
        print_table(rows)


def main() -> None:
    """Measure section by section, most telling first."""
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
        "whole_runs": lambda found: measure_whole_runs(options.seeds, SPRINT.replace(batch_size=128), found),
        "profile": lambda found: profile_steps(guide, SPRINT, found),
        "parts": lambda found: measure_parts(SPRINT, found),
        "exactness": check_exactness,
        "presets": lambda found: measure_presets(options.rounds, options.seconds, found),
        "variants": lambda found: measure_variants(options.seconds, found),
        "profile_augmented": lambda found: profile_steps(guide, augmented, found),
    }
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
    }
    sections["whole_runs_eager"] = lambda found: _in_eager_steps(measure_whole_runs, 3, SPRINT, found)
    with create_temporary_home():
        for name, measure in sections.items():
            if name in options.skip:
                continue
            results[name] = {}
            started = time.perf_counter()
            try:
                measure(results[name])
            except Exception as problem:  # the other sections are still worth their time
                results[name]["error"] = f"{type(problem).__name__}: {problem}"
            results.setdefault("section_s", {})[name] = round(time.perf_counter() - started, 1)
            options.out.write_text(json.dumps(results, indent=1))
    try:
        print_results(results)
    finally:
        print(f"\n{results['device']}, PyTorch {results['torch']}. {results['machine']}. {results['section_s']}")


def _in_eager_steps(measure: Callable[..., None], *arguments: Any) -> None:
    with eager_steps():
        measure(*arguments)


if __name__ == "__main__":
    main()
