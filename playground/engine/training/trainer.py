"""Training as a generator of events: it owns no process, clock, file or screen.

Whatever drives it (a loop, a test, the worker process, the command line) takes one event after another; between two
events the trainer stands still and ``weights()`` and ``checkpoint()`` may be taken.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from playground.core import events
from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.core.validation import ResourceLimits
from playground.engine.data.batch import LabeledImages
from playground.engine.data.registry import get_class_names
from playground.engine.data.splits import Splits, load_recipe_splits
from playground.engine.health.diagnosis import Diagnosis
from playground.engine.health.probes import HealthProbes
from playground.engine.health.rules import diagnose
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics, update_metric_history
from playground.engine.metrics import Evaluation
from playground.engine.model.build import build_model
from playground.engine.model.device import choose_device_config
from playground.engine.model.flat_parameters import copy_to_cpu
from playground.engine.training.captured_evaluation import CapturedEvaluator
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA
from playground.engine.training.checks import check_training_config, check_training_data
from playground.engine.training.commands import CommandSource, NullCommandSource
from playground.engine.training.errors import DIVERGENCE_THRESHOLD, convert_memory_error, make_divergence_error
from playground.engine.training.evaluate import evaluate
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.learner import BatchResult, Learner
from playground.errors import ArchitectureError, PlaygroundError, RecipeError, StorageError

_RECENT_BATCHES = 50


@dataclass
class _PendingBatches:
    """Batches whose figures still lie on the device; fetched together, so that no step waits for the device."""

    batches: list[BatchResult]
    started_at: float


def select_learner_class(device: torch.device) -> type[Learner]:
    """Captured steps on CUDA, eager steps on other devices."""
    return CapturedLearner if device.type == "cuda" else Learner


class Trainer:
    """One training of an architecture by a recipe, from its first step or from a checkpoint.

    Raises ArchitectureError, RecipeError or DataError before the first event; later trouble is an event.
    ``transferred`` names the weights that do not stay as drawn from the seed: ``trainer_for`` puts others in.
    """

    def __init__(
        self,
        architecture: Architecture,
        recipe: Recipe,
        *,
        evaluation_schedule: EvaluationSchedule | None = None,
        clock: Callable[[], float] = time.perf_counter,
        splits: Splits | None = None,
        limits: ResourceLimits | None = None,
        transferred_names: Collection[str] = (),
    ) -> None:
        self.architecture = architecture
        self.model: nn.Sequential = build_model(architecture, seed=recipe.seed, limits=limits)
        self._evaluation_schedule = evaluation_schedule or EvaluationSchedule()
        self._clock = clock
        self._device_config = choose_device_config(recipe)
        device = self._device_config.device
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if splits is None:
            check_training_config(architecture, recipe)
        self._splits = splits or load_recipe_splits(recipe, architecture.input.shape)
        check_training_data(architecture, recipe, self._splits)
        self._validation = self._splits.validation.to(device)
        self._validation_subset = self._validation.sample(self._evaluation_schedule.validation_subset_size)
        self._test = self._splits.test.to(device)
        learner_class = select_learner_class(device)
        self._learner = learner_class(
            self.model, recipe, self._splits.train.to(device), self._device_config, transferred_names
        )
        self._health_probes = HealthProbes(self.model, architecture)
        self._captured_evaluator = self._create_captured_evaluator()
        self._metric_history = MetricHistory()
        self._recent_losses: deque[float] = deque(maxlen=_RECENT_BATCHES)
        self._epoch_sums = [0.0, 0.0, 0.0]  # loss × images, right answers, images
        self._elapsed_before = 0.0
        self._running_since: float | None = None
        self._pending = self._make_pending_batches()
        self._steps_until_pause: int | None = None
        self._last_diagnosis: str | None = None
        self._tested_at_step: int | None = None
        self._is_restored = False

    @property
    def recipe(self) -> Recipe:
        """The recipe as its knobs stand now."""
        return self._learner.recipe

    @property
    def step(self) -> int:
        """Batches trained so far."""
        return self._learner.step

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch at the present batch size."""
        return self._learner.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether every epoch was trained."""
        return self._learner.is_finished

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, pauses left out."""
        running = self._clock() - self._running_since if self._running_since is not None else 0.0
        return self._elapsed_before + running

    def run(self, command_source: CommandSource | None = None) -> Iterator[events.Event]:
        """Every event from here to the end of the run; ``command_source`` is asked for commands before every batch."""
        command_source = command_source or NullCommandSource()
        self._running_since = self._clock()
        try:
            yield from self._report_start()
            while True:
                ending = yield from self._handle_commands(command_source)
                if ending is not None:
                    yield from self._end_run(ending)
                    return
                if self.is_finished:
                    break
                before = self._learner.position
                self._pending.batches.append(self._learner.train_batch())
                yield from self._handle_batch_end(before)
            yield from self._complete_run()
        except (PlaygroundError, RuntimeError) as problem:
            yield self._make_failed_event(
                convert_memory_error(problem, self.recipe) if isinstance(problem, RuntimeError) else problem
            )
        finally:
            self._elapsed_before, self._running_since = self.elapsed_s, None

    def get_weights(self) -> dict[str, Tensor]:
        """The weights and running statistics as they are now, on the CPU."""
        return copy_to_cpu(self.model.state_dict())

    def create_checkpoint(self) -> dict[str, Any]:
        """All that exact resumption needs: tensors, numbers and texts only."""
        return {
            "schema": CHECKPOINT_SCHEMA,
            "architecture": self.architecture.to_canonical_json(),
            "recipe": self.recipe.to_canonical_json(),
            "elapsed_s": self.elapsed_s,
            "epoch_sums": list(self._epoch_sums),
            "recent_losses": list(self._recent_losses),
            "metric_history": asdict(self._metric_history),
            "last_diagnosis": self._last_diagnosis,
            "tested_at_step": self._tested_at_step,
            **self._learner.state_dict(),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where a checkpoint was taken; raises StoreError for one of another network or recipe."""
        try:
            recipe, architecture = (
                Recipe.from_json(checkpoint["recipe"]),
                Architecture.from_json(checkpoint["architecture"]),
            )
            rates = architecture.dropout_rates
            if not self.recipe.is_equal_except_live_hyperparameters(recipe):
                raise RecipeError("Its recipe is another one.")
            self._learner.load_state_dict(checkpoint)
            self.architecture = self.architecture.with_dropout_rates(rates)
        except (RuntimeError, ValueError, KeyError, PlaygroundError) as problem:
            raise StorageError(
                "The checkpoint does not belong to this run.", expected=str(problem).splitlines()[0], fix="Train again."
            ) from problem
        self._learner.update_hyperparameters(recipe, rates)
        self._is_restored = True
        self._elapsed_before = checkpoint["elapsed_s"]
        self._epoch_sums = list(checkpoint["epoch_sums"])
        self._recent_losses.extend(checkpoint["recent_losses"])
        self._metric_history = MetricHistory(**checkpoint["metric_history"])
        self._last_diagnosis = checkpoint["last_diagnosis"]
        self._tested_at_step = checkpoint["tested_at_step"]

    # Between batches

    def _report_start(self) -> Iterator[events.Event]:
        if self._is_restored or self.step:
            yield self._make_event(events.Resumed)
        else:
            yield self._make_event(
                events.RunStarted,
                train_size=len(self._splits.train),
                validation_size=len(self._splits.validation),
                test_size=len(self._splits.test),
                steps_per_epoch=self.steps_per_epoch,
                total_steps=self.steps_per_epoch * self.recipe.epochs,
                device=self._device_config.device.type,
                precision=self._device_config.precision,
                eager_reason=self._learner.eager_reason,
            )
            yield self._make_event(events.SnapshotSaved)
        self._pending = self._make_pending_batches()

    def _handle_batch_end(self, previous_position: int) -> Iterator[events.Event]:
        learner = self._learner
        ended = learner.position == 0
        due = learner.has_crossed_interval(
            self._evaluation_schedule.get_evaluations_per_epoch(len(self._splits.train)), previous_position
        )
        early = learner.step & (learner.step - 1) == 0 and learner.epoch == 0
        saved = learner.has_crossed_interval(self._evaluation_schedule.checkpoints_per_epoch, previous_position)
        if (
            not (due or early or saved)
            and self._clock() - self._pending.started_at < self._evaluation_schedule.report_interval_s
        ):
            return
        yield from self._report_batches()
        if due:
            yield from self._evaluate_and_diagnose(is_epoch_end=ended)
        if ended:
            yield self._make_epoch_done_event()
        if due or early:
            yield self._make_event(events.SnapshotSaved)
        if saved:
            yield self._make_event(events.CheckpointSaved)
        self._pending = self._make_pending_batches()

    def _report_batches(self) -> Iterator[events.Event]:
        pending, self._pending = self._pending, self._make_pending_batches()
        if not pending.batches:
            return
        self._learner.compute_metrics()
        losses = torch.stack([batch.loss for batch in pending.batches]).tolist()
        corrects = torch.stack([batch.correct_count for batch in pending.batches]).tolist()
        # The clock is read after the figures are here, so that what the device still had to do is counted.
        rate = sum(batch.size for batch in pending.batches) / max(1e-9, self._clock() - pending.started_at)
        for batch, loss, correct in zip(pending.batches, losses, corrects, strict=True):
            if not loss < DIVERGENCE_THRESHOLD:  # also true of not-a-number
                raise make_divergence_error(batch.step, loss, batch.lr)
            for place, value in enumerate((loss * batch.size, correct, batch.size)):
                self._epoch_sums[place] += value
            self._recent_losses.append(loss)
            yield self._make_event(
                events.StepDone,
                step=batch.step,
                epochs=batch.epochs_trained,
                loss=loss,
                accuracy=correct / batch.size,
                lr=batch.lr,
                images_per_second=rate,
            )

    def _evaluate_and_diagnose(self, *, is_epoch_end: bool) -> Iterator[events.Event]:
        data = (
            self._validation
            if is_epoch_end and len(self._validation) <= len(self._splits.train)
            else self._validation_subset
        )
        measured = self._evaluate_or_raise(data, with_probes=True)
        yield self._make_evaluated_event("validation", measured)
        signs = self._collect_metrics(measured)
        finding = diagnose(signs, self._metric_history)
        self._metric_history = update_metric_history(self._metric_history, signs)
        if finding.message != self._last_diagnosis:
            self._last_diagnosis = finding.message
            yield self._make_diagnosed_event(finding)

    def _create_captured_evaluator(self) -> CapturedEvaluator | None:
        """The evaluator of a learner with captured steps, with graphs for every split that a run evaluates."""
        if not isinstance(self._learner, CapturedLearner):
            return None
        evaluator = CapturedEvaluator(self.model, self._health_probes, self._learner.graph_capture)
        with contextlib.suppress(torch.OutOfMemoryError):  # raised again by the first evaluation
            for data in (self._validation_subset, self._validation):
                evaluator.capture(data, with_probes=True)
            evaluator.capture(self._test)
        return evaluator

    def _collect_metrics(self, evaluation: Evaluation) -> TrainingMetrics:
        _, correct, count = self._epoch_sums
        return TrainingMetrics(
            architecture=self.architecture,
            recipe=self.recipe,
            class_names=get_class_names(self.recipe, self.architecture),
            train_size=len(self._splits.train),
            step=self.step,
            epochs_trained=self._learner.epochs_trained,
            lr=self._learner.lr,
            recent_loss=sum(self._recent_losses) / max(1, len(self._recent_losses)),
            train_accuracy=correct / max(1.0, count),
            validation_accuracy=evaluation.accuracy,
            validation_loss=evaluation.loss,
            dead_channels=self._health_probes.count_dead_channels(),
            layer_gradients=self._health_probes.compute_gradient_norms(),
            predicted_counts=evaluation.predicted_counts,
            label_counts=evaluation.label_counts,
        )

    def _evaluate_or_raise(self, data: LabeledImages, *, with_probes: bool = False) -> Evaluation:
        if self._captured_evaluator is not None:
            measured = self._captured_evaluator.evaluate(data, with_probes=with_probes)
        else:
            with self._health_probes.record_activations() if with_probes else contextlib.nullcontext():
                measured = evaluate(self.model, data)
        if not measured.loss < DIVERGENCE_THRESHOLD:  # the last batch may have been the one too many
            raise make_divergence_error(self.step, measured.loss, self._learner.lr)
        return measured

    def _make_epoch_done_event(self) -> events.Event:
        loss_sum, correct, count = self._epoch_sums
        self._epoch_sums = [0.0, 0.0, 0.0]
        return self._make_event(
            events.EpochDone, epoch=self._learner.epoch, train_loss=loss_sum / count, train_accuracy=correct / count
        )

    # Commands

    def _handle_commands(self, command_source: CommandSource) -> Generator[events.Event, None, events.EndStatus | None]:
        """Follow what has come; the generator's value is how to end, or None to go on."""
        commands = deque(command_source.poll())
        if self._steps_until_pause == 0:
            commands.appendleft(events.Pause())
        while commands:
            command = commands.popleft()
            if isinstance(command, events.Pause):
                command = yield from self._wait_while_paused(command_source, commands)
            match command:
                case events.Stop(status=status, reason=reason):
                    if reason:
                        yield from self._report_batches()
                        yield self._make_diagnosed_event(Diagnosis("stopped", reason, {}))
                    return status
                case events.Resume():
                    self._steps_until_pause = None
                case events.TrainSteps(batches=batches):
                    self._steps_until_pause = batches
                case _:
                    yield from self._handle_save_or_update(command)
        if self._steps_until_pause is not None:
            self._steps_until_pause -= 1
        return None

    def _wait_while_paused(
        self, command_source: CommandSource, commands: deque[events.Command]
    ) -> Generator[events.Event, None, events.Stop | events.Resume | events.TrainSteps]:
        """Stand still until a command says otherwise; the generator's value is that command."""
        yield from self._report_save()
        yield self._make_event(events.Paused)
        self._elapsed_before, self._running_since = self.elapsed_s, None
        while True:
            command = commands.popleft() if commands else command_source.wait()
            if isinstance(command, events.Stop | events.Resume | events.TrainSteps):
                break
            yield from self._handle_save_or_update(command)
        self._running_since = self._clock()
        self._pending = self._make_pending_batches()
        if not isinstance(command, events.Stop):
            yield self._make_event(events.Resumed)
        return command

    def _handle_save_or_update(self, command: events.Command) -> Iterator[events.Event]:
        if isinstance(command, events.SaveSnapshot):
            yield from self._report_save()
        elif isinstance(command, events.UpdateHyperparameters):
            yield from self._report_batches()
            yield from self._update_hyperparameters(command.hyperparameters)

    def _update_hyperparameters(self, hyperparameters: dict[str, Any]) -> Iterator[events.Event]:
        before, rates_before = self.recipe, self.architecture.dropout_rates
        try:
            rates = tuple(hyperparameters.get("dropout", rates_before))
            architecture = self.architecture.with_dropout_rates(rates)
            recipe = before.update_hyperparameters(
                {name: value for name, value in hyperparameters.items() if name != "dropout"}
            )
            check_training_data(architecture, recipe, self._splits)
        except (RecipeError, ArchitectureError, TypeError) as error:
            reason = "Dropout rates must be a list of numbers." if isinstance(error, TypeError) else str(error)
            yield self._make_event(events.HyperparametersRejected, hyperparameters=hyperparameters, reason=reason)
            return
        self.architecture = architecture
        self._learner.update_hyperparameters(recipe, rates)
        old = before.model_dump(mode="json") | {"dropout": list(rates_before)}
        new = recipe.model_dump(mode="json") | {"dropout": list(rates)}
        changed = [name for name in hyperparameters if old[name] != new[name]]
        self._reset_incomparable_metrics(set(changed))
        for name in changed:
            yield self._make_event(events.HyperparameterChanged, hyperparameter=name, before=old[name], after=new[name])
        if changed:
            yield self._make_event(events.CheckpointSaved)  # a run killed from here on resumes with the new values

    def _reset_incomparable_metrics(self, changed: set[str]) -> None:
        """Forget losses that a change made incomparable with what comes."""
        if changed:
            self._recent_losses.clear()
        if changed & {"label_smoothing", "augmentation", "dropout", "batch_size"}:
            self._metric_history = MetricHistory()

    def _complete_run(self) -> Iterator[events.Event]:
        yield from self._report_batches()
        if self._tested_at_step != self.step:  # else it was cut right after its test
            measured = self._evaluate_or_raise(self._test)
            self._tested_at_step = self.step
            yield self._make_evaluated_event("test", measured)
            yield self._make_event(events.CheckpointSaved)
        yield self._make_event(events.RunEnded, status="completed")

    def _report_save(self) -> Iterator[events.Event]:
        yield from self._report_batches()
        yield self._make_event(events.SnapshotSaved)
        yield self._make_event(events.CheckpointSaved)

    def _end_run(self, status: events.EndStatus) -> Iterator[events.Event]:
        yield from self._report_save()
        yield self._make_event(events.RunEnded, status=status)

    def _make_pending_batches(self) -> _PendingBatches:
        return _PendingBatches([], self._clock())

    def _make_event(self, kind: Callable[..., events.Event], **fields: Any) -> events.Event:
        return kind(**{"step": self.step, "elapsed_s": round(self.elapsed_s, 4)} | fields)

    def _make_evaluated_event(self, split: events.Split, evaluation: Evaluation) -> events.Event:
        return self._make_event(
            events.Evaluated, split=split, loss=evaluation.loss, accuracy=evaluation.accuracy, size=evaluation.size
        )

    def _make_diagnosed_event(self, diagnosis: Diagnosis) -> events.Event:
        words = {"diagnosis": diagnosis.code, "message": diagnosis.message, "metrics": diagnosis.evidence}
        return self._make_event(events.Diagnosed, **words, suggestion=diagnosis.suggestion)

    def _make_failed_event(self, error: PlaygroundError) -> events.Event:
        return self._make_event(events.RunFailed, what=error.what, expected=error.expected, fix=error.fix)
