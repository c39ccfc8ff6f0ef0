"""What the figures of a run mean, in plain words, with what to do about it; a finding is a pure function of figures.

Each rule names the figures that it went by. Thresholds were set so that the presets' healthy runs stay silent and runs
made to be ill do not (tests/engine/test_health.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from playground.spec.architecture import Architecture
from playground.spec.events import Suggestion
from playground.spec.layers import Activation, Conv2d, Layer, Linear, Residual
from playground.spec.recipe import Recipe, Rotate, Scale, Shift

_FEW_STEPS = 100
_STUCK_MARGIN = 0.05
_OVERFITTING_GAP = 0.03
_FEW_IMAGES_A_CLASS = 200
_DEAD_SHARE = 0.75
_VANISHING_RATIO = 1e-3
_EXPLODING_NORM = 100.0
_FALL = 0.05
_LOW_ACCURACY = 0.95
_NO_RISE = 0.01
_USUAL_LR = {"sgd": 0.05, "adagrad": 0.01}
_USUAL_LR_OF_OTHERS = 1e-3
_SATURATING = ("sigmoid", "tanh")
_MILD_AUGMENTATION = (Shift(pixels=2), Rotate(degrees=10), Scale(amount=0.1))


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

    first_loss: float | None = None
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

    @property
    def gap(self) -> float:
        """How much better the net is on the images that it trains on."""
        return self.train_accuracy - self.validation_accuracy

    @property
    def is_stuck(self) -> bool:
        """Whether it does no better than guessing, though it had time."""
        guessing = 1 / self.architecture.classes + _STUCK_MARGIN
        return self.epochs >= 0.2 and self.step >= 10 and self.validation_accuracy < guessing

    @property
    def usual_lr(self) -> float:
        """A learning rate that works for most networks with this optimizer."""
        return _USUAL_LR.get(self.recipe.optimizer.kind, _USUAL_LR_OF_OTHERS)


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
        first_loss=signs.recent_loss if course.first_loss is None else course.first_loss,
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
    if not signs.recent_loss > max(2 * course.best_loss, course.best_loss + 0.5):
        return None
    return Finding(
        "diverging",
        f"The loss is climbing: it was {course.best_loss:.2f} and is {signs.recent_loss:.2f}. "
        "Each step overshoots and the next one more so.",
        {"best_loss": course.best_loss, "recent_loss": signs.recent_loss, "lr": signs.lr},
        _lower_lr(signs),
    )


def _exploding(signs: Signs, course: Course) -> Finding | None:
    total = math.sqrt(sum(layer.norm**2 for layer in signs.gradients))
    if total <= _EXPLODING_NORM:
        return None
    steepest = max(signs.gradients, key=lambda layer: layer.norm)
    return Finding(
        "exploding_gradients",
        f"Exploding gradients: their norm is {total:,.0f}, most of it in {steepest.place}; below 10 is usual. "
        "Such a step throws the weights far away.",
        {"gradient_norm": total, "lr": signs.lr},
        _lower_lr(signs),
    )


def _dead(signs: Signs, course: Course) -> Finding | None:
    silent = [layer for layer in signs.dead if layer.dead >= max(4, _DEAD_SHARE * layer.channels)]
    if not silent:
        return None
    worst = max(silent, key=lambda layer: layer.dead / layer.channels)
    lr = _rounded(min(signs.recipe.lr / 3, signs.usual_lr))
    return Finding(
        "dead_relu",
        f"Dead ReLUs: {worst.dead} of {worst.channels} channels of {worst.place} never fire, "
        "and what never fires never learns again. Too long a step does that.",
        {"dead": float(worst.dead), "channels": float(worst.channels), "lr": signs.lr},
        Suggestion(label=f"Train anew with lr {lr:g}", recipe={"lr": lr}, anew=True),
    )


def _vanishing(signs: Signs, course: Course) -> Finding | None:
    if len(signs.gradients) < 2 or signs.validation_accuracy > 0.9:
        return None
    first, last = signs.gradients[0], signs.gradients[-1]
    if not first.rms < _VANISHING_RATIO * last.rms:
        return None
    saturating = _saturating(signs.architecture)
    better = _with_relu(signs.architecture)
    named = f" {saturating.capitalize()} flattens them at every layer." if saturating else ""
    return Finding(
        "vanishing_gradients",
        f"Vanishing gradients: {first.place} gets {first.rms / last.rms:.0e} of what {last.place} gets, "
        f"so the first layers hardly learn.{named}",
        {"first_layer_gradient": first.rms, "last_layer_gradient": last.rms},
        Suggestion(label="Train anew with ReLU", architecture=better.model_dump(mode="json", by_alias=True), anew=True)
        if saturating
        else None,
    )


def _few_steps(signs: Signs, course: Course) -> Finding | None:
    if not signs.is_stuck or signs.step >= _FEW_STEPS:
        return None
    epochs = signs.recipe.epochs + math.ceil(2 * _FEW_STEPS / max(1.0, signs.step / max(signs.epochs, 1e-9)))
    return Finding(
        "few_steps",
        f"No better than guessing yet ({signs.validation_accuracy:.0%}), but these were {signs.step} batches only: "
        "train longer, or on more images.",
        _accuracies(signs) | {"steps": float(signs.step)},
        Suggestion(label=f"Train {epochs} epochs", recipe={"epochs": min(1000, epochs)}),
    )


def _stuck(signs: Signs, course: Course) -> Finding | None:
    if not signs.is_stuck:
        return None
    too_high = signs.recipe.lr >= 2 * signs.usual_lr
    lr = signs.usual_lr if too_high else _rounded(max(signs.recipe.lr * 10, signs.usual_lr))
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
    if fall < _FALL or signs.epochs < 0.3 or signs.recipe.lr < 2 * signs.usual_lr:
        return None
    return Finding(
        "lr_too_high",
        f"The learning rate ({signs.lr:.2g}) looks too high: validation accuracy fell from "
        f"{course.best_validation_accuracy:.1%} to {signs.validation_accuracy:.1%}.",
        _accuracies(signs) | {"best_validation_accuracy": course.best_validation_accuracy, "lr": signs.lr},
        _lower_lr(signs),
    )


def _crawling(signs: Signs, course: Course) -> Finding | None:
    started = course.first_loss
    if started is None or signs.epochs < 0.3 or signs.step < _FEW_STEPS or signs.recipe.lr > signs.usual_lr / 5:
        return None
    if signs.recent_loss < 0.6 * started or signs.validation_accuracy > 0.9:
        return None
    lr = _rounded(signs.recipe.lr * 10)
    return Finding(
        "lr_too_low",
        f"Crawling: the loss went from {started:.2f} to {signs.recent_loss:.2f} in {signs.step:,} batches. "
        f"The learning rate, {signs.recipe.lr:g}, is low.",
        {"first_loss": started, "recent_loss": signs.recent_loss, "lr": signs.recipe.lr},
        Suggestion(label=f"Set lr to {lr:g}", recipe={"lr": lr}),
    )


def _class_missing(signs: Signs, course: Course) -> Finding | None:
    if signs.epochs < 1 or signs.step < _FEW_STEPS:
        return None
    counts = zip(signs.answers, signs.answers_expected, strict=True)
    missing = [place for place, (given, expected) in enumerate(counts) if not given and expected >= 10]
    if not missing:
        return None
    names = ", ".join(str(place) for place in missing)
    epochs = min(1000, signs.recipe.epochs + 2)
    return Finding(
        "class_never_predicted",
        f"It never answers {names}: {'this class is' if len(missing) == 1 else 'these classes are'} taken for others. "
        "More training usually mends that; if not, a lower learning rate.",
        {f"answers_{place}": float(signs.answers[place]) for place in missing},
        Suggestion(label=f"Train {epochs} epochs", recipe={"epochs": epochs}),
    )


def _little_data(signs: Signs, course: Course) -> Finding | None:
    a_class = signs.train_size / signs.architecture.classes
    if signs.epochs < 1 or signs.gap <= _OVERFITTING_GAP or a_class >= _FEW_IMAGES_A_CLASS:
        return None
    return Finding(
        "too_little_data",
        f"Too little data: {signs.train_size:,} images, {a_class:.0f} a class. "
        f"It gets {signs.train_accuracy:.1%} of them right and {signs.validation_accuracy:.1%} of others.",
        _accuracies(signs) | {"train_size": float(signs.train_size), "gap": signs.gap},
        Suggestion(label="Train anew on all images", recipe={"limit": None}, anew=True)
        if signs.recipe.limit
        else _more_augmentation(signs),
    )


def _overfitting(signs: Signs, course: Course) -> Finding | None:
    if signs.epochs < 1 or signs.gap <= _OVERFITTING_GAP:
        return None
    return Finding(
        "overfitting",
        f"Overfitting: {signs.train_accuracy:.1%} on the images it trains on, "
        f"{signs.validation_accuracy:.1%} on others. More images, dropout or augmentation would help.",
        _accuracies(signs) | {"gap": signs.gap},
        _more_augmentation(signs),
    )


def _underfitting(signs: Signs, course: Course) -> Finding | None:
    past = course.epoch_accuracies
    if signs.epochs < 2 or not past or signs.epochs != int(signs.epochs) or signs.train_accuracy >= _LOW_ACCURACY:
        return None
    rise = signs.train_accuracy - past[-1]
    if rise >= _NO_RISE:
        return None
    return Finding(
        "underfitting",
        f"Underfitting: {signs.train_accuracy:.1%} even on the images it trains on, and hardly rising "
        f"({rise:+.1%} in this epoch). The network is too small, or held back.",
        _accuracies(signs) | {"rise": rise},
        _unburdened(signs),
    )


_RULES: tuple[Rule, ...] = (
    _diverging,
    _exploding,
    _dead,
    _vanishing,
    _few_steps,
    _stuck,
    _bouncing,
    _crawling,
    _class_missing,
    _little_data,
    _overfitting,
    _underfitting,
)

# Suggestions


def _lower_lr(signs: Signs) -> Suggestion:
    lr = max(1e-6, _rounded(signs.recipe.lr / 10))
    return Suggestion(label=f"Set lr to {lr:g}", recipe={"lr": lr})


def _more_augmentation(signs: Signs) -> Suggestion | None:
    if signs.recipe.augmentation:
        return None
    mild = [item.model_dump(mode="json") for item in _MILD_AUGMENTATION]
    return Suggestion(label="Shift, rotate and scale the images", recipe={"augmentation": mild})


def _unburdened(signs: Signs) -> Suggestion:
    """Take away what holds the network back; if nothing does, make it wider."""
    recipe = signs.recipe
    if recipe.weight_decay > 0.01:
        return Suggestion(label="Set weight decay to 0", recipe={"weight_decay": 0.0})
    if recipe.lr < signs.usual_lr / 2:
        return Suggestion(label=f"Set lr to {signs.usual_lr:g}", recipe={"lr": signs.usual_lr})
    if recipe.augmentation:
        return Suggestion(label="Switch augmentation off", recipe={"augmentation": []})
    wider = _wider(signs.architecture).model_dump(mode="json", by_alias=True)
    return Suggestion(label="Train anew with twice the channels", architecture=wider, anew=True)


def _rounded(value: float) -> float:
    return float(f"{value:.1g}")


def _accuracies(signs: Signs) -> dict[str, float]:
    return {"train_accuracy": signs.train_accuracy, "validation_accuracy": signs.validation_accuracy}


def _saturating(architecture: Architecture) -> str | None:
    used = (getattr(layer, "activation", None) for layer in architecture.layers if layer.kind != "output")
    return next((name for name in used if name in _SATURATING), None)


def _with_relu(architecture: Architecture) -> Architecture:
    return architecture.with_layers([_relu_layer(layer) for layer in architecture.layers])


def _relu_layer(layer: Layer) -> Layer:
    if isinstance(layer, Conv2d | Linear | Activation | Residual) and layer.activation in _SATURATING:
        return layer.changed(activation="relu")
    return layer


def _wider(architecture: Architecture) -> Architecture:
    return architecture.with_layers([_wider_layer(layer) for layer in architecture.layers])


def _wider_layer(layer: Layer) -> Layer:
    doubled: dict[str, Any] = {}
    if isinstance(layer, Conv2d):
        doubled = {"out_channels": min(512, 2 * layer.out_channels)}
    elif isinstance(layer, Linear):
        doubled = {"out_features": min(2048, 2 * layer.out_features)}
    return layer.changed(**doubled)
