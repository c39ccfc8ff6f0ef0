"""Reproduction section of a report: the shortest command that trains the same network with the same recipe."""

import shlex
from dataclasses import dataclass
from typing import Any

from playground.core.architecture import Architecture
from playground.core.history import History
from playground.core.presets import ARCHITECTURE_PRESETS, RECIPE_PRESETS
from playground.core.recipe import Recipe
from playground.engine.data.dataset_lookup import find_dataset, fit_recipe_to_dataset
from playground.engine.runs.run import Run
from playground.errors import UnknownNameError

_PROGRAM = "cnn-playground"
_NETWORK_FILE, _RECIPE_FILE = "network.json", "recipe.json"
_COMMAND_LINE_FIELDS = ("dataset", "epochs", "batch_size", "lr", "seed", "limit")
"""Fields of a recipe that the command line takes one by one."""


@dataclass(frozen=True)
class ReproduceSection:
    """Command that reproduces a run, its precondition (or nothing), remarks, and the files that it reads.

    ``link`` is a URL, another share text, or empty.
    """

    condition: str
    command: str
    remarks: tuple[str, ...]
    link: str
    files: tuple[tuple[str, str], ...]

    @property
    def is_link_url(self) -> bool:
        """True if a browser can open the link."""
        return self.link.startswith(("https://", "http://"))


def make_reproduce_section(run: Run, history: History, link: str | None) -> ReproduceSection:
    """Collect the command, the link if there is one, and the JSON files that the command reads."""
    record = run.record
    files = (
        (_NETWORK_FILE, record.architecture.to_canonical_json()),
        (_RECIPE_FILE, record.recipe.to_canonical_json()),
    )
    condition, command = _build_reproduce_command(run, history)
    remarks = _list_remarks(run, history)
    if any(name in command for name, _ in files):
        remarks.append("The files that the command reads are below.")
    return ReproduceSection(condition, command, tuple(remarks), link or "", files)


def build_train_command(architecture: Architecture, recipe: Recipe) -> str:
    """Return the command that trains this network, from presets if they match, else from the two files."""
    preset = next((name for name in ARCHITECTURE_PRESETS if _matches_preset(name, architecture, recipe)), None)
    return shlex.join([_PROGRAM, "train", preset or _NETWORK_FILE, *_find_recipe_arguments(preset, recipe)])


def _build_reproduce_command(run: Run, history: History) -> tuple[str, str]:
    """Return the precondition of the command, and the command."""
    replay = f"{_PROGRAM} replay {run.id}"
    if run.initial_state_path.exists():
        return (
            "The initial weights or extra images of this run exist only in its run folder. With that folder:",
            replay,
        )
    if history.fork_event:
        parent, step = history.fork_event.parent, history.fork_event.step
        words = [_PROGRAM, "fork", parent, "--at", str(step), "--recipe", _RECIPE_FILE]
        return f"This run is a fork of run {parent} at step {step:,}. With the folder of that run:", shlex.join(words)
    return "", build_train_command(run.record.architecture, run.record.recipe)


def _list_remarks(run: Run, history: History) -> list[str]:
    remarks = ["The same machine and versions give bit-identical weights."]
    if history.hyperparameter_changes:
        remarks.append(
            "Hyperparameters were changed during training; a new run does not repeat these changes. "
            f"With the run's folder, {_PROGRAM} replay {run.id} repeats them."
        )
    if history.status != "completed":
        remarks.append("This run did not train all of its epochs.")
    return remarks


def _matches_preset(name: str, architecture: Architecture, recipe: Recipe) -> bool:
    """Return True if the preset, adapted to the dataset, is this network."""
    preset = ARCHITECTURE_PRESETS[name]
    made = preset.architecture
    if preset.recipe is None or preset.recipe.dataset != recipe.dataset:
        try:
            dataset = find_dataset(recipe.dataset)
        except UnknownNameError:
            return False
        made = made.adapt_to_images(dataset.input_shape, len(dataset.class_names))
    return made.digest == architecture.digest


def _find_recipe_arguments(preset: str | None, recipe: Recipe) -> list[str]:
    """Return the shortest recipe options: of the default recipe, of a recipe preset, or of the recipe file."""
    usual = ARCHITECTURE_PRESETS[preset].recipe if preset else None
    bases: list[tuple[list[str], Recipe]] = [([], usual or RECIPE_PRESETS["sprint"].recipe)]
    bases += [(["--recipe", name], named.recipe) for name, named in RECIPE_PRESETS.items()]
    found = [
        [*words, *options] for words, base in bases if (options := _find_option_arguments(base, recipe)) is not None
    ]
    return min(found, key=len, default=["--recipe", _RECIPE_FILE])


def _find_option_arguments(base: Recipe, recipe: Recipe) -> list[str] | None:
    """Return the options that turn ``base`` into ``recipe``; None if there are none that do."""
    changed: dict[str, Any] = {
        name: value for name in _COMMAND_LINE_FIELDS if (value := getattr(recipe, name)) != getattr(base, name)
    }
    try:
        made = fit_recipe_to_dataset(base, **changed)
    except UnknownNameError:
        return None
    if made != recipe or None in changed.values():
        return None
    return [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
