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
    find_saturating_activation,
    get_typical_lr,
    replace_saturating_with_relu,
    round_to_one_digit,
    suggest_augmentation,
    suggest_less_regularization,
    suggest_lower_lr,
    suggest_restart,
)

_MIN_STEPS = 100
_MAX_NAMED_CLASSES = 10
_CHANCE_LEVEL_MARGIN = 0.05
_OVERFITTING_GAP = 0.03
_LARGE_GAP = 0.1
_MIN_IMAGES_PER_CLASS = 200
_DEAD_CHANNEL_SHARE = 0.75
_VANISHING_GRADIENT_RATIO = 1e-3
_EXPLODING_GRADIENT_NORM = 100.0
_ACCURACY_DROP = 0.05
_EXCESSIVE_LR_FACTOR = 20
_HIGH_REMAINING_LOSS_SHARE = 0.6
_LOW_ACCURACY = 0.95
_MIN_ACCURACY_GAIN = 0.01


class DeadChannels(NamedTuple):
    """How many of a ReLU's channels never fired on the images looked at."""

    layer_name: str
    dead_count: int
    channel_count: int


class LayerGradient(NamedTuple):
    """The norm of the loss's gradient by a layer's weights, and how many weights these are."""

    layer_name: str
    norm: float
    weight_count: int

    @property
    def rms(self) -> float:
        """Root mean square of the gradient: comparable between layers of different size."""
        return self.norm / math.sqrt(self.weight_count)


@dataclass(frozen=True)
class MetricHistory:
    """What is remembered of a run's past; numbers only, since it lies in the checkpoint."""

    last_loss: float = math.inf
    best_loss: float = math.inf
    best_validation_accuracy: float = 0.0
    best_validation_loss: float = math.inf
    epoch_accuracies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingMetrics:
    """What a diagnosis looks at. Accuracies are shares of right answers; ``recent_loss`` is a mean over batches."""

    architecture: Architecture
    recipe: Recipe
    train_size: int
    step: int
    epochs_trained: float
    lr: float
    recent_loss: float
    train_accuracy: float
    validation_accuracy: float
    validation_loss: float
    dead_channels: tuple[DeadChannels, ...] = ()
    layer_gradients: tuple[LayerGradient, ...] = ()
    predicted_counts: tuple[int, ...] = ()
    label_counts: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def generalization_gap(self) -> float:
        """How much better the net is on the images that it trains on."""
        return self.train_accuracy - self.validation_accuracy

    @property
    def is_at_chance_level(self) -> bool:
        """Whether it does no better than guessing, though it had time; chance alone may do a little better."""
        guess = 1 / self.architecture.classes
        chance = 2 * math.sqrt(guess * (1 - guess) / max(1, sum(self.label_counts)))
        better = guess + min(_CHANCE_LEVEL_MARGIN, guess / 2) + chance
        return self.epochs_trained >= 0.2 and self.step >= 10 and self.validation_accuracy < better

    @property
    def min_loss(self) -> float:
        """The training loss of a perfect net: with label smoothing it is not zero."""
        classes, smoothing = self.architecture.classes, self.recipe.label_smoothing
        shares = [1 - smoothing + smoothing / classes, *([smoothing / classes] * (classes - 1))]
        return -sum(share * math.log(share) for share in shares if share > 0)

    @property
    def accuracy_noise(self) -> float:
        """How far chance alone may move the validation accuracy: two standard errors of its size."""
        share = min(max(self.validation_accuracy, 0.01), 0.99)
        return 2 * math.sqrt(share * (1 - share) / max(1, sum(self.label_counts)))

    @property
    def typical_lr(self) -> float:
        """A learning rate that works for most networks with this optimizer."""
        return get_typical_lr(self.recipe)


@dataclass(frozen=True)
class Diagnosis:
    """A name, a sentence or two, the figures behind them, and what one click can do."""

    code: str
    message: str
    evidence: dict[str, float]
    suggestion: Suggestion | None = None


Rule = Callable[[TrainingMetrics, MetricHistory], Diagnosis | None]


def diagnose(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis:
    """The most telling finding; ``learning`` where nothing is wrong."""
    found = (rule(metrics, metric_history) for rule in _RULES)
    return next((finding for finding in found if finding), _make_learning_diagnosis(metrics))


def update_metric_history(metric_history: MetricHistory, metrics: TrainingMetrics) -> MetricHistory:
    """The course after one more look; ``train_accuracy`` of a whole epoch is remembered."""
    accuracies = [*metric_history.epoch_accuracies[-9:], metrics.train_accuracy]
    return replace(
        metric_history,
        last_loss=metrics.recent_loss,
        best_loss=min(metric_history.best_loss, metrics.recent_loss),
        best_validation_accuracy=max(metric_history.best_validation_accuracy, metrics.validation_accuracy),
        best_validation_loss=min(metric_history.best_validation_loss, metrics.validation_loss),
        epoch_accuracies=accuracies
        if metrics.epochs_trained == int(metrics.epochs_trained)
        else metric_history.epoch_accuracies,
    )


def _make_learning_diagnosis(metrics: TrainingMetrics) -> Diagnosis:
    message = "Learning well." if metrics.validation_accuracy > 0.9 else "Learning."
    return Diagnosis("learning", message, _collect_accuracies(metrics))


# Rules, the gravest first


def _detect_divergence(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    climbs = metrics.recent_loss > max(2 * metric_history.best_loss, metric_history.best_loss + 0.5)
    if not climbs or metrics.recent_loss <= metric_history.last_loss:
        return None
    return Diagnosis(
        "diverging",
        f"The loss is climbing: it was {metric_history.best_loss:.2f} and is {metrics.recent_loss:.2f}. "
        "Each step overshoots and the next one more so.",
        {"best_loss": metric_history.best_loss, "recent_loss": metrics.recent_loss, "lr": metrics.lr},
        suggest_lower_lr(metrics.recipe),
    )


def _detect_exploding_gradients(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    total = math.sqrt(sum(layer.norm**2 for layer in metrics.layer_gradients))
    if total <= _EXPLODING_GRADIENT_NORM * max(
        1.0, 8 / metrics.recipe.batch_size
    ):  # a single odd image may weigh a lot
        return None
    steepest = max(metrics.layer_gradients, key=lambda layer: layer.norm)
    return Diagnosis(
        "exploding_gradients",
        f"Exploding gradients: their norm is {total:,.0f}, most of it in {steepest.layer_name}; below 10 is usual. "
        "Such a step throws the weights far away.",
        {"gradient_norm": total, "lr": metrics.lr},
        suggest_lower_lr(metrics.recipe),
    )


def _detect_dead_relus(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    silent = [
        layer
        for layer in metrics.dead_channels
        if layer.dead_count >= max(4, _DEAD_CHANNEL_SHARE * layer.channel_count)
    ]
    if not silent:
        return None
    worst = max(silent, key=lambda layer: layer.dead_count / layer.channel_count)
    lr = max(1e-6, round_to_one_digit(min(metrics.recipe.lr / 3, metrics.typical_lr)))
    return Diagnosis(
        "dead_relu",
        f"Dead ReLUs: {worst.dead_count} of {worst.channel_count} channels of {worst.layer_name} never fire, "
        "and what never fires never learns again. Too long a step does that.",
        {"dead": float(worst.dead_count), "channels": float(worst.channel_count), "lr": metrics.lr},
        Suggestion(label=f"Train anew with lr {lr:g}", recipe_changes={"lr": lr}, requires_restart=True),
    )


def _detect_excessive_lr(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    lr, usual = metrics.recipe.lr, metrics.typical_lr
    if lr < _EXCESSIVE_LR_FACTOR * usual or metrics.step < _MIN_STEPS or metrics.train_accuracy >= _LOW_ACCURACY:
        return None
    return Diagnosis(
        "lr_too_high",
        f"The learning rate ({lr:g}) is far above the usual {usual:g}, and only "
        f"{metrics.train_accuracy:.0%} of the images it trains on come out right.",
        _collect_accuracies(metrics) | {"lr": lr},
        Suggestion(label=f"Set lr to {usual:g}", recipe_changes={"lr": usual}),
    )


def _detect_vanishing_gradients(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    if len(metrics.layer_gradients) < 2 or metrics.validation_accuracy > 0.9:
        return None
    first, last = metrics.layer_gradients[0], metrics.layer_gradients[-1]
    if not first.rms < _VANISHING_GRADIENT_RATIO * last.rms:
        return None
    flat = find_saturating_activation(metrics.architecture)
    named = f" {flat.capitalize()} flattens them at every layer." if flat else ""
    return Diagnosis(
        "vanishing_gradients",
        f"Vanishing gradients: {first.layer_name} gets {first.rms / last.rms:.0e} of what {last.layer_name} gets, "
        f"so the first layers hardly learn.{named}",
        {"first_layer_gradient": first.rms, "last_layer_gradient": last.rms},
        suggest_restart(
            "Train anew with ReLU", metrics.architecture, replace_saturating_with_relu(metrics.architecture)
        ),
    )


def _detect_too_few_steps(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    steps_per_epoch = metrics.step / max(metrics.epochs_trained, 1e-9)
    enough = 2 * _MIN_STEPS
    if (
        not metrics.is_at_chance_level
        or metrics.step >= _MIN_STEPS
        or metrics.recipe.epochs * steps_per_epoch >= enough
    ):
        return None
    epochs = min(1000, math.ceil(enough / steps_per_epoch))
    return Diagnosis(
        "few_steps",
        f"No better than guessing yet ({metrics.validation_accuracy:.0%}), but these were {metrics.step} batches only: "
        "train longer, or on more images.",
        _collect_accuracies(metrics) | {"steps": float(metrics.step)},
        Suggestion(label=f"Train {epochs} epochs", recipe_changes={"epochs": epochs}),
    )


def _detect_no_learning(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    if not metrics.is_at_chance_level or metrics.step < _MIN_STEPS:
        return None
    too_high = metrics.recipe.lr >= 2 * metrics.typical_lr
    lr = metrics.typical_lr if too_high else round_to_one_digit(max(metrics.recipe.lr * 10, metrics.typical_lr))
    guess = f"Not learning: {metrics.validation_accuracy:.0%} is what guessing gives."
    reason = "steps so long that they lead nowhere" if too_high else "perhaps steps too short to leave the start"
    return Diagnosis(
        "lr_too_high" if too_high else "lr_too_low",
        f"{guess} The learning rate is {metrics.recipe.lr:g}: {reason}.",
        _collect_accuracies(metrics) | {"lr": metrics.recipe.lr},
        Suggestion(label=f"Set lr to {lr:g}", recipe_changes={"lr": lr}),
    )


def _detect_accuracy_drop(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    fall = metric_history.best_validation_accuracy - metrics.validation_accuracy
    if (
        fall < _ACCURACY_DROP + metrics.accuracy_noise
        or metrics.epochs_trained < 0.3
        or metrics.recipe.lr < 2 * metrics.typical_lr
    ):
        return None
    return Diagnosis(
        "lr_too_high",
        f"The learning rate ({metrics.recipe.lr:g}) looks too high: validation accuracy fell from "
        f"{metric_history.best_validation_accuracy:.1%} to {metrics.validation_accuracy:.1%}.",
        _collect_accuracies(metrics)
        | {"best_validation_accuracy": metric_history.best_validation_accuracy, "lr": metrics.recipe.lr},
        suggest_lower_lr(metrics.recipe),
    )


def _detect_slow_learning(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    if metrics.epochs_trained < 0.3 or metrics.step < _MIN_STEPS or metrics.recipe.lr > metrics.typical_lr / 10:
        return None
    guessing = math.log(metrics.architecture.classes)
    way_left = (metrics.recent_loss - metrics.min_loss) / (guessing - metrics.min_loss)
    if way_left < _HIGH_REMAINING_LOSS_SHARE or metrics.validation_accuracy > 0.9:
        return None
    lr = round_to_one_digit(metrics.recipe.lr * 10)
    return Diagnosis(
        "lr_too_low",
        f"Crawling: guessing gives a loss of {guessing:.2f}, and after {metrics.step:,} batches it is "
        f"{metrics.recent_loss:.2f}. The learning rate, {metrics.recipe.lr:g}, is low.",
        {"recent_loss": metrics.recent_loss, "loss_of_guessing": guessing, "lr": metrics.recipe.lr},
        Suggestion(label=f"Set lr to {lr:g}", recipe_changes={"lr": lr}),
    )


def _detect_never_predicted_class(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    if metrics.epochs_trained < 1 or metrics.step < _MIN_STEPS:
        return None
    counts = zip(metrics.predicted_counts, metrics.label_counts, strict=True)
    missing = [place for place, (given, expected) in enumerate(counts) if not given and expected >= 10]
    if not missing:
        return None
    named = [
        metrics.class_names[place] if metrics.class_names else str(place) for place in missing[:_MAX_NAMED_CLASSES]
    ]
    names = ", ".join(named) + (
        f" and {len(missing) - _MAX_NAMED_CLASSES} more" if len(missing) > _MAX_NAMED_CLASSES else ""
    )
    epochs = int(metrics.epochs_trained) + 2
    return Diagnosis(
        "class_never_predicted",
        f"It never answers {names}: {'this class is' if len(missing) == 1 else 'these classes are'} taken for others. "
        "More training usually mends that; if not, a lower learning rate.",
        {f"answers_{place}": float(metrics.predicted_counts[place]) for place in missing},
        Suggestion(label=f"Train {epochs} epochs", recipe_changes={"epochs": epochs})
        if metrics.recipe.epochs < epochs <= 1000
        else None,
    )


def _detect_too_little_data(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    a_class = metrics.train_size / metrics.architecture.classes
    if (
        metrics.epochs_trained < 1
        or metrics.generalization_gap <= _OVERFITTING_GAP + metrics.accuracy_noise
        or a_class >= _MIN_IMAGES_PER_CLASS
    ):
        return None
    return Diagnosis(
        "too_little_data",
        f"Too little data: {metrics.train_size:,} images, {a_class:.0f} a class. "
        f"It gets {metrics.train_accuracy:.1%} of them right and {metrics.validation_accuracy:.1%} of others.",
        _collect_accuracies(metrics) | {"train_size": float(metrics.train_size), "gap": metrics.generalization_gap},
        Suggestion(label="Train anew on all images", recipe_changes={"limit": None}, requires_restart=True)
        if metrics.recipe.limit
        else suggest_augmentation(metrics.recipe),
    )


def _detect_overfitting(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    if metrics.epochs_trained < 1 or metrics.generalization_gap <= _OVERFITTING_GAP + metrics.accuracy_noise:
        return None
    if (
        metrics.generalization_gap <= _LARGE_GAP
        and metrics.validation_loss <= 1.05 * metric_history.best_validation_loss
    ):
        return None  # a gap, but what it learns still helps on other images
    return Diagnosis(
        "overfitting",
        f"Overfitting: {metrics.train_accuracy:.1%} on the images it trains on, "
        f"{metrics.validation_accuracy:.1%} on others. More images, dropout or augmentation would help.",
        _collect_accuracies(metrics) | {"gap": metrics.generalization_gap},
        suggest_augmentation(metrics.recipe),
    )


def _detect_underfitting(metrics: TrainingMetrics, metric_history: MetricHistory) -> Diagnosis | None:
    is_whole = metrics.epochs_trained == int(metrics.epochs_trained)
    accuracies = [*metric_history.epoch_accuracies, *([metrics.train_accuracy] if is_whole else [])]
    if (
        len(accuracies) < 2 or metrics.step < _MIN_STEPS or metrics.lr < metrics.recipe.lr / 10
    ):  # at the end of a schedule nothing rises any more
        return None
    train_accuracy, rise = accuracies[-1], accuracies[-1] - accuracies[-2]
    # Where other images do better, dropout or augmentation makes training hard on purpose.
    does_better = metrics.validation_accuracy > max(_LOW_ACCURACY, train_accuracy + 0.02)
    if train_accuracy >= _LOW_ACCURACY or does_better or rise >= _MIN_ACCURACY_GAIN:
        return None
    return Diagnosis(
        "underfitting",
        f"Underfitting: {train_accuracy:.1%} even on the images it trains on, and hardly rising "
        f"({rise:+.1%} in an epoch). The network is too small, or held back.",
        {"train_accuracy": train_accuracy, "validation_accuracy": metrics.validation_accuracy, "rise": rise},
        suggest_less_regularization(metrics.architecture, metrics.recipe),
    )


_RULES: tuple[Rule, ...] = (
    _detect_dead_relus,
    _detect_divergence,
    _detect_exploding_gradients,
    _detect_excessive_lr,
    _detect_vanishing_gradients,
    _detect_too_little_data,
    _detect_too_few_steps,
    _detect_no_learning,
    _detect_accuracy_drop,
    _detect_slow_learning,
    _detect_never_predicted_class,
    _detect_overfitting,
    _detect_underfitting,
)


def _collect_accuracies(metrics: TrainingMetrics) -> dict[str, float]:
    return {"train_accuracy": metrics.train_accuracy, "validation_accuracy": metrics.validation_accuracy}
