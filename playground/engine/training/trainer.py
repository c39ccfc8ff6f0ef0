"""Training as a generator of events.

It owns no process, clock, file or screen. A loop, a test, the worker process and the command line all iterate over
``Trainer.run``; between two events the trainer is idle, and its weights and checkpoint may be taken.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from playground.core import events
from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.core.validation import ResourceLimits
from playground.engine.data.dataset_lookup import get_class_names
from playground.engine.data.splits import Splits, load_recipe_splits
from playground.engine.health.diagnosis import Diagnosis
from playground.engine.health.rules import diagnose
from playground.engine.health.training_metrics import MetricHistory, TrainingMetrics, update_metric_history
from playground.engine.metrics import Evaluation
from playground.engine.model.build import build_model
from playground.engine.model.device import choose_device_config
from playground.engine.model.flat_parameters import copy_to_cpu
from playground.engine.training.captured_step import CapturedLearner
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA
from playground.engine.training.checks import check_training_config, check_training_data
from playground.engine.training.command_sources import CommandSource, NullCommandSource
from playground.engine.training.errors import convert_memory_error
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.learner import Learner
from playground.engine.training.run_evaluator import RunEvaluator
from playground.engine.training.running_metrics import RunningMetrics
from playground.errors import ArchitectureError, PlaygroundError, RecipeError, StorageError


def select_learner_class(device: torch.device) -> type[Learner]:
    """Select captured steps on CUDA, eager steps on other devices."""
    return CapturedLearner if device.type == "cuda" else Learner


class Trainer:
    """Training of an architecture by a recipe, from its first step or from a checkpoint.

    ``transferred_names`` are the weights that come from another network (``runs.initial_state`` loads them); the
    recipe has a learning rate scale for them. Raises ArchitectureError, RecipeError or DataError; failures during
    training are events.
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
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares no memory format
        if splits is None:
            check_training_config(architecture, recipe)
        self._splits = splits or load_recipe_splits(recipe, architecture.input.shape)
        check_training_data(architecture, recipe, self._splits)
        learner_class = select_learner_class(device)
        self._learner = learner_class(
            self.model, recipe, self._splits.train.to(device), self._device_config, transferred_names
        )
        self._evaluator = RunEvaluator(
            self.model,
            architecture,
            self._learner,
            self._splits,
            device,
            validation_subset_size=self._evaluation_schedule.validation_subset_size,
        )
        self._metric_history = MetricHistory()
        self._running_metrics = RunningMetrics(clock)
        self._elapsed_before = 0.0
        self._running_since: float | None = None
        self._steps_until_pause: int | None = None
        self._last_diagnosis: str | None = None
        self._tested_at_step: int | None = None
        self._is_restored = False

    @property
    def recipe(self) -> Recipe:
        """The recipe with the current live hyperparameters."""
        return self._learner.recipe

    @property
    def step(self) -> int:
        """Batches trained so far."""
        return self._learner.step

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch at the current batch size."""
        return self._learner.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """True after the last epoch."""
        return self._learner.is_finished

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, without pauses."""
        running = self._clock() - self._running_since if self._running_since is not None else 0.0
        return self._elapsed_before + running

    def run(self, command_source: CommandSource | None = None) -> Iterator[events.Event]:
        """Train to the end of the run, yielding events; commands are polled before every batch."""
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
                self._running_metrics.add(self._learner.train_batch())
                yield from self._handle_batch_end(before)
            yield from self._complete_run()
        except PlaygroundError as error:
            yield self._make_failed_event(error)
        except RuntimeError as error:
            yield self._make_failed_event(convert_memory_error(error, self.recipe))
        finally:
            self._elapsed_before, self._running_since = self.elapsed_s, None

    def get_weights(self) -> dict[str, Tensor]:
        """Copy the current weights and running statistics to the CPU."""
        return copy_to_cpu(self.model.state_dict())

    def create_checkpoint(self) -> dict[str, Any]:
        """Create a checkpoint for exact resume: tensors, numbers and strings only."""
        return {
            "schema": CHECKPOINT_SCHEMA,
            "architecture": self.architecture.to_canonical_json(),
            "recipe": self.recipe.to_canonical_json(),
            "elapsed_s": self.elapsed_s,
            "metric_history": asdict(self._metric_history),
            "last_diagnosis": self._last_diagnosis,
            "tested_at_step": self._tested_at_step,
            **self._running_metrics.state_dict(),
            **self._learner.state_dict(),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Restore a checkpoint; raises StorageError for one of another network or recipe."""
        try:
            recipe = Recipe.from_json(checkpoint["recipe"])
            architecture = Architecture.from_json(checkpoint["architecture"])
            rates = architecture.dropout_rates
            if not self.recipe.is_equal_except_live_hyperparameters(recipe):
                raise RecipeError("The recipes differ in more than live hyperparameters.")
            self._learner.load_state_dict(checkpoint)
            self.architecture = self.architecture.with_dropout_rates(rates)
        except (RuntimeError, ValueError, KeyError, PlaygroundError) as error:
            raise StorageError(
                "The checkpoint does not belong to this run.", expected=str(error).splitlines()[0], fix="Train again."
            ) from error
        self._learner.update_hyperparameters(recipe, rates)
        self._is_restored = True
        self._elapsed_before = checkpoint["elapsed_s"]
        self._running_metrics.load_state_dict(checkpoint)
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
        self._running_metrics.start_interval()

    def _handle_batch_end(self, previous_position: int) -> Iterator[events.Event]:
        learner, schedule = self._learner, self._evaluation_schedule
        is_epoch_end = learner.position == 0
        evaluations = schedule.get_evaluations_per_epoch(len(self._splits.train))
        is_evaluation_due = learner.has_crossed_interval(evaluations, previous_position)
        is_checkpoint_due = learner.has_crossed_interval(schedule.checkpoints_per_epoch, previous_position)
        is_early_power_of_two = learner.step & (learner.step - 1) == 0 and learner.epoch == 0
        is_due = is_evaluation_due or is_checkpoint_due or is_early_power_of_two
        if not is_due and self._running_metrics.interval_s < schedule.report_interval_s:
            return
        yield from self._report_batches()
        if is_evaluation_due:
            yield from self._evaluate_and_diagnose(is_epoch_end=is_epoch_end)
        if is_epoch_end:
            yield self._make_epoch_done_event()
        if is_evaluation_due or is_early_power_of_two:
            yield self._make_event(events.SnapshotSaved)
        if is_checkpoint_due:
            yield self._make_event(events.CheckpointSaved)
        self._running_metrics.start_interval()

    def _report_batches(self) -> Iterator[events.Event]:
        for metrics in self._running_metrics.report(self._learner):
            yield self._make_event(
                events.StepDone,
                step=metrics.batch.step,
                epochs=metrics.batch.epochs_trained,
                loss=metrics.loss,
                accuracy=metrics.accuracy,
                lr=metrics.batch.lr,
                images_per_second=metrics.images_per_second,
            )

    def _evaluate_and_diagnose(self, *, is_epoch_end: bool) -> Iterator[events.Event]:
        evaluation = self._evaluator.evaluate_validation(is_epoch_end=is_epoch_end)
        yield self._make_evaluated_event("validation", evaluation)
        metrics = self._collect_metrics(evaluation)
        diagnosis = diagnose(metrics, self._metric_history)
        self._metric_history = update_metric_history(self._metric_history, metrics)
        if diagnosis.message != self._last_diagnosis:
            self._last_diagnosis = diagnosis.message
            yield self._make_diagnosed_event(diagnosis)

    def _collect_metrics(self, evaluation: Evaluation) -> TrainingMetrics:
        return TrainingMetrics(
            architecture=self.architecture,
            recipe=self.recipe,
            class_names=get_class_names(self.recipe, self.architecture),
            train_size=len(self._splits.train),
            step=self.step,
            epochs_trained=self._learner.epochs_trained,
            lr=self._learner.lr,
            recent_loss=self._running_metrics.recent_loss,
            train_accuracy=self._running_metrics.recent_accuracy,
            train_accuracy_size=self._running_metrics.recent_size,
            epoch_accuracy=self._running_metrics.epoch_accuracy,
            validation_accuracy=evaluation.accuracy,
            validation_loss=evaluation.loss,
            dead_channels=self._evaluator.health_probes.count_dead_channels(),
            layer_gradients=self._evaluator.health_probes.compute_gradient_norms(),
            predicted_counts=evaluation.predicted_counts,
            label_counts=evaluation.label_counts,
        )

    def _make_epoch_done_event(self) -> events.Event:
        loss, accuracy = self._running_metrics.epoch_loss, self._running_metrics.epoch_accuracy
        self._running_metrics.reset_epoch()
        return self._make_event(events.EpochDone, epoch=self._learner.epoch, train_loss=loss, train_accuracy=accuracy)

    # Commands

    def _handle_commands(self, command_source: CommandSource) -> Generator[events.Event, None, events.EndStatus | None]:
        """Carry out pending commands; the generator returns the status to end with, or None to continue."""
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
        """Wait until a command ends the pause; the generator returns that command."""
        yield from self._report_save()
        yield self._make_event(events.Paused)
        self._elapsed_before, self._running_since = self.elapsed_s, None
        while True:
            command = commands.popleft() if commands else command_source.wait()
            if isinstance(command, events.Stop | events.Resume | events.TrainSteps):
                break
            yield from self._handle_save_or_update(command)
        self._running_since = self._clock()
        self._running_metrics.start_interval()
        if not isinstance(command, events.Stop):
            batches = command.batches if isinstance(command, events.TrainSteps) else None
            yield self._make_event(events.Resumed, batches=batches)
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
        """Forget metrics that a changed hyperparameter made incomparable."""
        if changed:
            self._running_metrics.reset_recent()
        if changed & {"label_smoothing", "augmentation", "dropout", "batch_size"}:
            self._metric_history = MetricHistory()

    def _complete_run(self) -> Iterator[events.Event]:
        yield from self._report_batches()
        if self._tested_at_step != self.step:  # equal after a resume of a run that was killed right after its test
            evaluation = self._evaluator.evaluate_test()
            self._tested_at_step = self.step
            yield self._make_evaluated_event("test", evaluation)
            yield self._make_event(events.CheckpointSaved)
        yield self._make_event(events.RunEnded, status="completed")

    def _report_save(self) -> Iterator[events.Event]:
        yield from self._report_batches()
        yield self._make_event(events.SnapshotSaved)
        yield self._make_event(events.CheckpointSaved)

    def _end_run(self, status: events.EndStatus) -> Iterator[events.Event]:
        yield from self._report_save()
        yield self._make_event(events.RunEnded, status=status)

    def _make_event(self, kind: Callable[..., events.Event], **fields: Any) -> events.Event:
        return kind(**{"step": self.step, "elapsed_s": round(self.elapsed_s, 4)} | fields)

    def _make_evaluated_event(self, split: events.Split, evaluation: Evaluation) -> events.Event:
        return self._make_event(
            events.Evaluated, split=split, loss=evaluation.loss, accuracy=evaluation.accuracy, size=evaluation.size
        )

    def _make_diagnosed_event(self, diagnosis: Diagnosis) -> events.Event:
        return self._make_event(
            events.Diagnosed,
            diagnosis=diagnosis.code,
            message=diagnosis.message,
            metrics=diagnosis.evidence,
            suggestion=diagnosis.suggestion,
        )

    def _make_failed_event(self, error: PlaygroundError) -> events.Event:
        return self._make_event(events.RunFailed, what=error.what, expected=error.expected, fix=error.fix)
