"""Seconds to 99.0 % test accuracy: ``python -m benchmarks.time_to_accuracy [--rounds 3]``.

The time of this project is that of a whole run: training, evaluations, snapshots and log. The time of the others is
their training only, to the end of the first epoch that reaches the accuracy. In each round every contender trains once,
with the round's seed. Keras is used if this environment, or the interpreter that ``KERAS_PYTHON`` names, can import it.
"""

import argparse
import statistics
import sys
from typing import Any

from benchmarks.contenders.process import BenchmarkProcess, find_keras_python
from benchmarks.data import create_temporary_home, describe_machine, print_table

_MAX_EPOCHS = 8


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--only-ours", action="store_true", help="Leave out the plain loop and Keras.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    options = parser.parse_args()
    with create_temporary_home(options.limit) as data:
        contenders = [
            BenchmarkProcess.create_for_project(
                "ours: dash network, dash recipe", net="dash", recipe="dash", limit=options.limit
            ),
            BenchmarkProcess.create_for_project(
                "ours: the guide's network, sprint recipe", net="guide", recipe="sprint", limit=options.limit
            ),
        ]
        tutorial = {"data": data, "batch_size": 32, "most_epochs": _MAX_EPOCHS}
        python = find_keras_python()
        if not options.only_ours:
            contenders.append(BenchmarkProcess("plain PyTorch loop, adam, batch 32", "plain_torch.py", tutorial))
            if python:
                contenders.append(BenchmarkProcess("Keras fit, adam, batch 32", "keras_fit.py", tutorial, python))
        results: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in contenders}
        for seed in range(options.rounds):
            for contender in contenders:
                result = contender.request_result(do="race", seed=seed, target=options.target)
                results[contender.name].append(result)
                print(f"seed {seed}, {contender.name}: {result}", file=sys.stderr, flush=True)
        for contender in contenders:
            contender.close()
    _print_results(results, options.target)


def _print_results(results: dict[str, list[dict[str, Any]]], target: float) -> None:
    slowest = max(results, key=lambda name: min((r["seconds"] or 1e9) for r in results[name]))
    rows: list[tuple[str, ...]] = [
        (
            f"to {target:.1%} on the test set",
            "seconds",
            "epochs",
            "reached",
            "mean accuracy",
            f"times faster than {slowest}",
        )
    ]
    for name, found in results.items():
        reached = [result for result in found if result["seconds"] is not None]
        ratios = [
            other["seconds"] / own["seconds"]
            for own, other in zip(found, results[slowest], strict=True)
            if own["seconds"] and other["seconds"]
        ]
        rows.append(
            (
                name,
                f"{statistics.median(result['seconds'] for result in reached):.1f}" if reached else "never",
                f"{statistics.median(result['epochs'] for result in found):.0f}",
                f"{len(reached)} of {len(found)}",
                f"{statistics.mean(result['accuracy'] for result in found):.2%}",
                f"{statistics.median(ratios):.1f}" if ratios else "",
            )
        )
    print_table(rows)
    print(f"\nMedians over seeds 0 to {len(next(iter(results.values()))) - 1}. {describe_machine()}.")


if __name__ == "__main__":
    main()
