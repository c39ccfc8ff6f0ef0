"""Training throughput: ``python -m benchmarks.throughput [--rounds 5] [--seconds 6]``.

Images per second of the guide's network in this project, in a plain PyTorch loop and in Keras. Each contender is a
process; in every round they train one after another, and the table holds medians of the rounds. It also compares the
training with the machine's peak of matrix products. Keras is used if this environment, or the interpreter that
``KERAS_PYTHON`` names, can import it.
"""

import argparse
import statistics

from benchmarks.contenders.process import BenchmarkProcess, find_keras_python
from benchmarks.data import create_temporary_home, describe_machine, print_table
from playground.core.presets import get_architecture_preset
from playground.core.summary import summarize

_TRAINING_COST_FACTOR = 3  # the backward pass costs twice the forward pass


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    with create_temporary_home() as data:
        contenders = [
            BenchmarkProcess.create_for_project(f"ours, batch {size}", batch_size=size) for size in (32, 64, 128)
        ]
        contenders.append(
            BenchmarkProcess.create_for_project("ours, batch 64, float32", batch_size=64, precision="float32")
        )
        plain = BenchmarkProcess("plain PyTorch loop, batch 32", "plain_torch.py", {"data": data, "batch_size": 32})
        contenders.append(plain)
        python = find_keras_python()
        keras = None
        if python:
            keras = BenchmarkProcess("Keras fit, batch 32", "keras_fit.py", {"data": data, "batch_size": 32}, python)
            contenders.append(keras)
        peaks = {kind: BenchmarkProcess(kind, "peak.py", {"precision": kind}) for kind in ("float32", "bfloat16")}
        speeds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        limits: dict[str, list[float]] = {kind: [] for kind in peaks}
        for _ in range(options.rounds):
            for contender in contenders:
                result = contender.request_result(do="speed", seconds=options.seconds)
                speeds[contender.name].append(result["images_per_second"])
            for kind, peak in peaks.items():
                result = peak.request_result(do="speed", seconds=options.seconds / 4)
                limits[kind].append(result["multiply_adds_per_second"])
        for process in (*contenders, *peaks.values()):
            process.close()
    _print_results(speeds, limits, plain.name, keras.name if keras else None)


def _print_results(
    speeds: dict[str, list[float]], limits: dict[str, list[float]], plain_name: str, keras_name: str | None
) -> None:
    cost = _TRAINING_COST_FACTOR * summarize(get_architecture_preset("guide").architecture).multiply_adds
    peak = {kind: statistics.median(found) for kind, found in limits.items()}
    rows: list[tuple[str, ...]] = [("the guide's network", "images/s", "to plain loop", "to Keras", "of bfloat16 peak")]
    for name, found in speeds.items():
        rows.append(
            (
                name,
                f"{statistics.median(found):,.0f}",
                f"{_compute_median_ratio(found, speeds[plain_name]):.1f}",
                f"{_compute_median_ratio(found, speeds[keras_name]):.1f}" if keras_name else "Keras not installed",
                f"{statistics.median(found) * cost / peak['bfloat16']:.0%}",
            )
        )
    print_table(rows)
    print(
        f"\nMatrix products of 2048 x 2048: {peak['float32'] / 1e9:,.0f} billion multiply-adds per second in float32, "
        f"{peak['bfloat16'] / 1e9:,.0f} billion in bfloat16. {describe_machine()}."
    )


def _compute_median_ratio(left: list[float], right: list[float]) -> float:
    """Return the median of the ratios of each round, because a disturbance of a round slows both contenders."""
    return statistics.median(a / b for a, b in zip(left, right, strict=True))


if __name__ == "__main__":
    main()
