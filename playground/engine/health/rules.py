"""What the figures of a run mean, in plain words, with what to do about it; a finding is a pure function of figures.

Each rule names the figures that it went by. Thresholds were set so that healthy runs of all presets stay silent
and runs made to be ill do not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from playground.core.architecture import Architecture
from playground.core.events import Suggestion
from playground.core.recipe import Recipe
from playground.engine.health.suggestions import (
    anew,
    lower_lr,
    more_augmentation,
    rounded,
    saturating,
    unburdened,
    usual_lr,
    with_relu,
)

_FEW_STEPS = 100
_MOST_NAMED = 10
_STUCK_MARGIN = 0.05
_OVERFITTING_GAP = 0.03
_LARGE_GAP = 0.1
_FEW_IMAGES_A_CLASS = 200
_DEAD_SHARE = 0.75
_VANISHING_RATIO = 1e-3
_EXPLODING_NORM = 100.0
_FALL = 0.05
_FAR_TOO_HIGH = 20
_MUCH_OF_THE_WAY = 0.6
_LOW_ACCURACY = 0.95
_NO_RISE = 0.01


class DeadChannels(NamedTuple):
    """How many of a ReLU's channels never fired on the images looked at."""

    place: str
    dead: int
    channels: int


class LayerGradient(NamedTuple):
    """The norm of the loss's gradient by a layer's weights, and how many weights these are."""

    place: str
    norm: float
    weights: int

    @property
    def rms(self) -> float:
        """Root mean square of the gradient: comparable between layers of different size."""
        return self.norm / math.sqrt(self.weights)


@dataclass(frozen=True)
class Course:
    """What is remembered of a run's past; numbers only, since it lies in the checkpoint."""

    last_loss: float = math.inf
    best_loss: float = math.inf
    best_validation_accuracy: float = 0.0
    best_validation_loss: float = math.inf
    epoch_accuracies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Signs:
    """What a diagnosis looks at. Accuracies are shares of right answers; ``recent_loss`` is a mean over batches."""

    architecture: Architecture
    recipe: Recipe
    train_size: int
    step: int
    epochs: float
    lr: float
    recent_loss: float
    train_accuracy: float
    validation_accuracy: float
    validation_loss: float
    dead: tuple[DeadChannels, ...] = ()
    gradients: tuple[LayerGradient, ...] = ()
    answers: tuple[int, ...] = ()
    answers_expected: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """How much better the net is on the images that it trains on."""
        return self.train_accuracy - self.validation_accuracy

    @property
    def is_stuck(self) -> bool:
        """Whether it does no better than guessing, though it had time; chance alone may do a little better."""
        guess = 1 / self.architecture.classes
        chance = 2 * math.sqrt(guess * (1 - guess) / max(1, sum(self.answers_expected)))
        better = guess + min(_STUCK_MARGIN, guess / 2) + chance
        return self.epochs >= 0.2 and self.step >= 10 and self.validation_accuracy < better

    @property
    def loss_floor(self) -> float:
        """The training loss of a perfect net: with label smoothing it is not zero."""
        classes, smoothing = self.architecture.classes, self.recipe.label_smoothing
        shares = [1 - smoothing + smoothing / classes, *([smoothing / classes] * (classes - 1))]
        return -sum(share * math.log(share) for share in shares if share > 0)

    @property
    def noise(self) -> float:
        """How far chance alone may move the validation accuracy: two standard errors of its size."""
        share = min(max(self.validation_accuracy, 0.01), 0.99)
        return 2 * math.sqrt(share * (1 - share) / max(1, sum(self.answers_expected)))

    @property
    def usual_lr(self) -> float:
        """A learning rate that works for most networks with this optimizer."""
        return usual_lr(self.recipe)


@dataclass(frozen=True)
class Finding:
    """A name, a sentence or two, the figures behind them, and what one click can do."""

    name: str
    message: str
    figures: dict[str, float]
    suggestion: Suggestion | None = None


Rule = Callable[[Signs, Course], Finding | None]


def diagnose(signs: Signs, course: Course) -> Finding:
    """The most telling finding; ``learning`` where nothing is wrong."""
    found = (rule(signs, course) for rule in _RULES)
    return next((finding for finding in found if finding), _learning(signs))


def continued(course: Course, signs: Signs) -> Course:
    """The course after one more look; ``train_accuracy`` of a whole epoch is remembered."""
    accuracies = [*course.epoch_accuracies[-9:], signs.train_accuracy]
    return replace(
        course,
        last_loss=signs.recent_loss,
        best_loss=min(course.best_loss, signs.recent_loss),
        best_validation_accuracy=max(course.best_validation_accuracy, signs.validation_accuracy),
        best_validation_loss=min(course.best_validation_loss, signs.validation_loss),
        epoch_accuracies=accuracies if signs.epochs == int(signs.epochs) else course.epoch_accuracies,
    )


def _learning(signs: Signs) -> Finding:
    message = "Learning well." if signs.validation_accuracy > 0.9 else "Learning."
    return Finding("learning", message, _accuracies(signs))


# Rules, the gravest first


def _diverging(signs: Signs, course: Course) -> Finding | None:
    climbs = signs.recent_loss > max(2 * course.best_loss, course.best_loss + 0.5)
    if not climbs or signs.recent_loss <= course.last_loss:
        return None
    return Finding(
        "diverging",
        f"The loss is climbing: it was {course.best_loss:.2f} and is {signs.recent_loss:.2f}. "
        "Each step overshoots and the next one more so.",
        {"best_loss": course.best_loss, "recent_loss": signs.recent_loss, "lr": signs.lr},
        lower_lr(signs.recipe),
    )


def _exploding(signs: Signs, course: Course) -> Finding | None:
    total = math.sqrt(sum(layer.norm**2 for layer in signs.gradients))
    if total <= _EXPLODING_NORM * max(1.0, 8 / signs.recipe.batch_size):  # a single odd image may weigh a lot
        return None
    steepest = max(signs.gradients, key=lambda layer: layer.norm)
    return Finding(
        "exploding_gradients",
        f"Exploding gradients: their norm is {total:,.0f}, most of it in {steepest.place}; below 10 is usual. "
        "Such a step throws the weights far away.",
        {"gradient_norm": total, "lr": signs.lr},
        lower_lr(signs.recipe),
    )


def _dead(signs: Signs, course: Course) -> Finding | None:
    silent = [layer for layer in signs.dead if layer.dead >= max(4, _DEAD_SHARE * layer.channels)]
    if not silent:
        return None
    worst = max(silent, key=lambda layer: layer.dead / layer.channels)
    lr = max(1e-6, rounded(min(signs.recipe.lr / 3, signs.usual_lr)))
    return Finding(
        "dead_relu",
        f"Dead ReLUs: {worst.dead} of {worst.channels} channels of {worst.place} never fire, "
        "and what never fires never learns again. Too long a step does that.",
        {"dead": float(worst.dead), "channels": float(worst.channels), "lr": signs.lr},
        Suggestion(label=f"Train anew with lr {lr:g}", recipe={"lr": lr}, anew=True),
    )


def _far_too_high(signs: Signs, course: Course) -> Finding | None:
    lr, usual = signs.recipe.lr, signs.usual_lr
    if lr < _FAR_TOO_HIGH * usual or signs.step < _FEW_STEPS or signs.train_accuracy >= _LOW_ACCURACY:
        return None
    return Finding(
        "lr_too_high",
        f"The learning rate ({lr:g}) is far above the usual {usual:g}, and only "
        f"{signs.train_accuracy:.0%} of the images it trains on come out right.",
        _accuracies(signs) | {"lr": lr},
        Suggestion(label=f"Set lr to {usual:g}", recipe={"lr": usual}),
    )


def _vanishing(signs: Signs, course: Course) -> Finding | None:
    if len(signs.gradients) < 2 or signs.validation_accuracy > 0.9:
        return None
    first, last = signs.gradients[0], signs.gradients[-1]
    if not first.rms < _VANISHING_RATIO * last.rms:
        return None
    flat = saturating(signs.architecture)
    named = f" {flat.capitalize()} flattens them at every layer." if flat else ""
    return Finding(
        "vanishing_gradients",
        f"Vanishing gradients: {first.place} gets {first.rms / last.rms:.0e} of what {last.place} gets, "
        f"so the first layers hardly learn.{named}",
        {"first_layer_gradient": first.rms, "last_layer_gradient": last.rms},
        anew("Train anew with ReLU", signs.architecture, with_relu(signs.architecture)),
    )


def _few_steps(signs: Signs, course: Course) -> Finding | None:
    steps_per_epoch = signs.step / max(signs.epochs, 1e-9)
    enough = 2 * _FEW_STEPS
    if not signs.is_stuck or signs.step >= _FEW_STEPS or signs.recipe.epochs * steps_per_epoch >= enough:
        return None
    epochs = min(1000, math.ceil(enough / steps_per_epoch))
    return Finding(
        "few_steps",
        f"No better than guessing yet ({signs.validation_accuracy:.0%}), but these were {signs.step} batches only: "
        "train longer, or on more images.",
        _accuracies(signs) | {"steps": float(signs.step)},
        Suggestion(label=f"Train {epochs} epochs", recipe={"epochs": epochs}),
    )


def _stuck(signs: Signs, course: Course) -> Finding | None:
    if not signs.is_stuck or signs.step < _FEW_STEPS:
        return None
    too_high = signs.recipe.lr >= 2 * signs.usual_lr
    lr = signs.usual_lr if too_high else rounded(max(signs.recipe.lr * 10, signs.usual_lr))
    guess = f"Not learning: {signs.validation_accuracy:.0%} is what guessing gives."
    reason = "steps so long that they lead nowhere" if too_high else "perhaps steps too short to leave the start"
    return Finding(
        "lr_too_high" if too_high else "lr_too_low",
        f"{guess} The learning rate is {signs.recipe.lr:g}: {reason}.",
        _accuracies(signs) | {"lr": signs.recipe.lr},
        Suggestion(label=f"Set lr to {lr:g}", recipe={"lr": lr}),
    )


def _bouncing(signs: Signs, course: Course) -> Finding | None:
    fall = course.best_validation_accuracy - signs.validation_accuracy
    if fall < _FALL + signs.noise or signs.epochs < 0.3 or signs.recipe.lr < 2 * signs.usual_lr:
        return None
    return Finding(
        "lr_too_high",
        f"The learning rate ({signs.recipe.lr:g}) looks too high: validation accuracy fell from "
        f"{course.best_validation_accuracy:.1%} to {signs.validation_accuracy:.1%}.",
        _accuracies(signs) | {"best_validation_accuracy": course.best_validation_accuracy, "lr": signs.recipe.lr},
        lower_lr(signs.recipe),
    )


def _crawling(signs: Signs, course: Course) -> Finding | None:
    if signs.epochs < 0.3 or signs.step < _FEW_STEPS or signs.recipe.lr > signs.usual_lr / 10:
        return None
    guessing = math.log(signs.architecture.classes)
    way_left = (signs.recent_loss - signs.loss_floor) / (guessing - signs.loss_floor)
    if way_left < _MUCH_OF_THE_WAY or signs.validation_accuracy > 0.9:
        return None
    lr = rounded(signs.recipe.lr * 10)
    return Finding(
        "lr_too_low",
        f"Crawling: guessing gives a loss of {guessing:.2f}, and after {signs.step:,} batches it is "
        f"{signs.recent_loss:.2f}. The learning rate, {signs.recipe.lr:g}, is low.",
        {"recent_loss": signs.recent_loss, "loss_of_guessing": guessing, "lr": signs.recipe.lr},
        Suggestion(label=f"Set lr to {lr:g}", recipe={"lr": lr}),
    )


def _class_missing(signs: Signs, course: Course) -> Finding | None:
    if signs.epochs < 1 or signs.step < _FEW_STEPS:
        return None
    counts = zip(signs.answers, signs.answers_expected, strict=True)
    missing = [place for place, (given, expected) in enumerate(counts) if not given and expected >= 10]
    if not missing:
        return None
    named = [signs.class_names[place] if signs.class_names else str(place) for place in missing[:_MOST_NAMED]]
    names = ", ".join(named) + (f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else "")
    epochs = int(signs.epochs) + 2
    return Finding(
        "class_never_predicted",
        f"It never answers {names}: {'this class is' if len(missing) == 1 else 'these classes are'} taken for others. "
        "More training usually mends that; if not, a lower learning rate.",
        {f"answers_{place}": float(signs.answers[place]) for place in missing},
        Suggestion(label=f"Train {epochs} epochs", recipe={"epochs": epochs})
        if signs.recipe.epochs < epochs <= 1000
        else None,
    )


def _little_data(signs: Signs, course: Course) -> Finding | None:
    a_class = signs.train_size / signs.architecture.classes
    if signs.epochs < 1 or signs.gap <= _OVERFITTING_GAP + signs.noise or a_class >= _FEW_IMAGES_A_CLASS:
        return None
    return Finding(
        "too_little_data",
        f"Too little data: {signs.train_size:,} images, {a_class:.0f} a class. "
        f"It gets {signs.train_accuracy:.1%} of them right and {signs.validation_accuracy:.1%} of others.",
        _accuracies(signs) | {"train_size": float(signs.train_size), "gap": signs.gap},
        Suggestion(label="Train anew on all images", recipe={"limit": None}, anew=True)
        if signs.recipe.limit
        else more_augmentation(signs.recipe),
    )


def _overfitting(signs: Signs, course: Course) -> Finding | None:
    if signs.epochs < 1 or signs.gap <= _OVERFITTING_GAP + signs.noise:
        return None
    if signs.gap <= _LARGE_GAP and signs.validation_loss <= 1.05 * course.best_validation_loss:
        return None  # a gap, but what it learns still helps on other images
    return Finding(
        "overfitting",
        f"Overfitting: {signs.train_accuracy:.1%} on the images it trains on, "
        f"{signs.validation_accuracy:.1%} on others. More images, dropout or augmentation would help.",
        _accuracies(signs) | {"gap": signs.gap},
        more_augmentation(signs.recipe),
    )


def _underfitting(signs: Signs, course: Course) -> Finding | None:
    is_whole = signs.epochs == int(signs.epochs)
    accuracies = [*course.epoch_accuracies, *([signs.train_accuracy] if is_whole else [])]
    if (
        len(accuracies) < 2 or signs.step < _FEW_STEPS or signs.lr < signs.recipe.lr / 10
    ):  # at the end of a schedule nothing rises any more
        return None
    train_accuracy, rise = accuracies[-1], accuracies[-1] - accuracies[-2]
    # Where other images do better, dropout or augmentation makes training hard on purpose.
    does_better = signs.validation_accuracy > max(_LOW_ACCURACY, train_accuracy + 0.02)
    if train_accuracy >= _LOW_ACCURACY or does_better or rise >= _NO_RISE:
        return None
    return Finding(
        "underfitting",
        f"Underfitting: {train_accuracy:.1%} even on the images it trains on, and hardly rising "
        f"({rise:+.1%} in an epoch). The network is too small, or held back.",
        {"train_accuracy": train_accuracy, "validation_accuracy": signs.validation_accuracy, "rise": rise},
        unburdened(signs.architecture, signs.recipe),
    )


_RULES: tuple[Rule, ...] = (
    _dead,
    _diverging,
    _exploding,
    _far_too_high,
    _vanishing,
    _little_data,
    _few_steps,
    _stuck,
    _bouncing,
    _crawling,
    _class_missing,
    _overfitting,
    _underfitting,
)


def _accuracies(signs: Signs) -> dict[str, float]:
    return {"train_accuracy": signs.train_accuracy, "validation_accuracy": signs.validation_accuracy}
