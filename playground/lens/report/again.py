"""How the run of a report can be made again: the shortest command that trains the same network by the same recipe."""

import shlex

from playground.engine.datasets import find_dataset, fitted_recipe
from playground.engine.store import Run
from playground.errors import UnknownNameError
from playground.lens.report.html import Html, element, joined, note, section
from playground.spec.architecture import Architecture
from playground.spec.history import History
from playground.spec.presets import ARCHITECTURES, RECIPES
from playground.spec.recipe import Recipe

_PROGRAM = "cnn-playground"
_NETWORK_FILE, _RECIPE_FILE = "network.json", "recipe.json"
_OPTIONS = ("dataset", "epochs", "batch_size", "lr", "seed", "limit")
"""Fields of a recipe that the command line takes one by one."""


def again_section(run: Run, history: History, link: str | None) -> Html:
    """The command, the link if there is one, and the network and the recipe as the files that a command reads."""
    architecture, recipe = run.record.architecture, run.record.recipe
    files = ((_NETWORK_FILE, architecture.canonical_json()), (_RECIPE_FILE, recipe.canonical_json()))
    return section(
        "Make it again",
        *_instructions(run, history),
        _link(link) if link else Html(),
        *(element("details", element("summary", name), element("pre", text)) for name, text in files),
    )


def train_command(architecture: Architecture, recipe: Recipe) -> str:
    """What trains this network by this recipe, from presets where they say all, else from the two files."""
    preset = next((name for name in ARCHITECTURES if _is_preset(name, architecture, recipe)), None)
    words = [_PROGRAM, "train", preset or _NETWORK_FILE, *_recipe_words(preset, recipe)]
    return shlex.join(words)


def _instructions(run: Run, history: History) -> list[Html]:
    record = run.record
    if run.material_path.exists():
        words = (
            "It began with weights, or learned from images, that are in its run folder only. With that folder at hand:"
        )
        return [element("p", words), _command(f"{_PROGRAM} replay {run.id}")]
    if history.forked:
        origin = f"It branched off run {history.forked.parent} at step {history.forked.step:,}. Where that run is:"
        words = [_PROGRAM, "fork", history.forked.parent, "--at", str(history.forked.step), "--recipe", _RECIPE_FILE]
        return [element("p", origin), _command(shlex.join(words)), *_remarks(run, history)]
    return [_command(train_command(record.architecture, record.recipe)), *_remarks(run, history)]


def _remarks(run: Run, history: History) -> list[Html]:
    found = []
    if history.knob_changes:
        found.append(
            "Settings were changed while it ran, and the command trains with the first ones; "
            f"where its run folder is, {_PROGRAM} replay {run.id} repeats the changes too."
        )
    if history.phase != "completed":
        found.append("This run did not train all of its epochs; the command does.")
    found.append(
        "The same machine and versions give the same weights, bit for bit. Files that a command names are below."
    )
    return [note(" ".join(found))]


def _command(text: str) -> Html:
    return element("pre", text, class_="command")


def _link(link: str) -> Html:
    """As a link only where it leads to a page: other schemes run programs."""
    words = "Open the network and its recipe in CNN Playground"
    if link.startswith(("https://", "http://")):
        return element("p", element("a", words, href=link))
    return joined(element("p", f"{words}:"), _command(link))


def _is_preset(name: str, architecture: Architecture, recipe: Recipe) -> bool:
    """Whether the command line makes this very network of the preset, fitting it to the data set as it does."""
    preset = ARCHITECTURES[name]
    made = preset.architecture
    if preset.recipe is None or preset.recipe.dataset != recipe.dataset:
        try:
            dataset = find_dataset(recipe.dataset)
        except UnknownNameError:
            return False
        made = made.for_images(dataset.input_shape, len(dataset.class_names))
    return made.digest == architecture.digest


def _recipe_words(preset: str | None, recipe: Recipe) -> list[str]:
    """Options on top of the recipe that the command takes by itself, else of a named one, else of the file."""
    usual = ARCHITECTURES[preset].recipe if preset else None
    bases = {None: usual or RECIPES["sprint"].recipe} | {name: named.recipe for name, named in RECIPES.items()}
    found = [
        [*(["--recipe", name] if name else []), *_option_words(options)]
        for name, base in bases.items()
        if (options := _options(base, recipe)) is not None
    ]
    return min(found, key=len, default=["--recipe", _RECIPE_FILE])


def _options(base: Recipe, recipe: Recipe) -> dict[str, object] | None:
    """What turns one recipe into the other on the command line; None where options cannot."""
    options = {name: value for name in _OPTIONS if (value := getattr(recipe, name)) != getattr(base, name)}
    try:
        made = fitted_recipe(base.changed(**options))
    except UnknownNameError:
        return None
    return options if made == recipe and None not in options.values() else None


def _option_words(options: dict[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
