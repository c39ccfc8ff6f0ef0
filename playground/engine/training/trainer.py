"""Training as a generator of events: it owns no process, clock, file or screen.

Whatever drives it (a loop, a test, the worker process, the command line) takes one event after another; between two
events the trainer stands still and ``weights()`` and ``checkpoint()`` may be taken.
"""

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
from playground.core.validation import Limits
from playground.engine.data.batch import Images
from playground.engine.data.registry import class_names
from playground.engine.data.splits import Splits, splits_for
from playground.engine.health.probes import Vitals
from playground.engine.health.rules import Course, Finding, Signs, continued, diagnose
from playground.engine.model.build import build
from playground.engine.model.device import choose_compute
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA
from playground.engine.training.checks import HOPELESS_LOSS, as_memory_error, check_fit, check_request, diverged
from playground.engine.training.commands import Inbox, NoCommands
from playground.engine.training.evaluate import Measured, measure
from playground.engine.training.evaluation_schedule import Cadence
from playground.engine.training.learner import Batch, Learner
from playground.errors import ArchitectureError, PlaygroundError, RecipeError, StoreError

_RECENT_BATCHES = 50


@dataclass
class _Pending:
    """Batches whose figures still lie on the device; fetched together, so that no step waits for the device."""

    batches: list[Batch]
    since: float


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
        cadence: Cadence | None = None,
        clock: Callable[[], float] = time.perf_counter,
        splits: Splits | None = None,
        limits: Limits | None = None,
        transferred: Collection[str] = (),
    ) -> None:
        self.architecture = architecture
        self.model: nn.Sequential = build(architecture, seed=recipe.seed, limits=limits)
        self._cadence = cadence or Cadence()
        self._clock = clock
        self._compute = choose_compute(recipe)
        device = self._compute.device
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if splits is None:
            check_request(architecture, recipe)
        self._splits = splits or splits_for(recipe, architecture.input.shape)
        check_fit(architecture, recipe, self._splits)
        self._validation = self._splits.validation.to(device)
        self._quick = self._validation.sample(self._cadence.quick_size)
        self._learner = Learner(self.model, recipe, self._splits.train.to(device), self._compute, transferred)
        self._vitals = Vitals(self.model, architecture)
        self._course = Course()
        self._recent_losses: deque[float] = deque(maxlen=_RECENT_BATCHES)
        self._epoch_sums = [0.0, 0.0, 0.0]  # loss × images, right answers, images
        self._elapsed_before = 0.0
        self._running_since: float | None = None
        self._pending = self._nothing_pending()
        self._steps_allowed: int | None = None
        self._last_finding: str | None = None
        self._tested_at: int | None = None
        self._restored = False

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
    def is_done(self) -> bool:
        """Whether every epoch was trained."""
        return self._learner.is_done

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, pauses left out."""
        running = self._clock() - self._running_since if self._running_since is not None else 0.0
        return self._elapsed_before + running

    def run(self, inbox: Inbox | None = None) -> Iterator[events.Event]:
        """Every event from here to the end of the run; ``inbox`` is asked for commands before every batch."""
        inbox = inbox or NoCommands()
        self._running_since = self._clock()
        try:
            yield from self._opening()
            while True:
                ending = yield from self._obey(inbox)
                if ending is not None:
                    yield from self._close(ending)
                    return
                if self.is_done:
                    break
                before = self._learner.position
                self._pending.batches.append(self._learner.train_batch())
                yield from self._after_batch(before)
            yield from self._finish()
        except (PlaygroundError, RuntimeError) as problem:
            yield self._failed(as_memory_error(problem, self.recipe) if isinstance(problem, RuntimeError) else problem)
        finally:
            self._elapsed_before, self._running_since = self.elapsed_s, None

    def weights(self) -> dict[str, Tensor]:
        """The weights and running statistics as they are now, on the CPU."""
        return {name: value.detach().cpu().contiguous().clone() for name, value in self.model.state_dict().items()}

    def checkpoint(self) -> dict[str, Any]:
        """All that exact resumption needs: tensors, numbers and texts only."""
        return {
            "schema": CHECKPOINT_SCHEMA,
            "architecture": self.architecture.canonical_json(),
            "recipe": self.recipe.canonical_json(),
            "elapsed_s": self.elapsed_s,
            "epoch_sums": list(self._epoch_sums),
            "recent_losses": list(self._recent_losses),
            "course": asdict(self._course),
            "last_finding": self._last_finding,
            "tested_at": self._tested_at,
            **self._learner.state(),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where a checkpoint was taken; raises StoreError for one of another network or recipe."""
        try:
            recipe, architecture = Recipe.read(checkpoint["recipe"]), Architecture.read(checkpoint["architecture"])
            rates = architecture.dropout_rates
            if not self.recipe.is_same_but_knobs(recipe):
                raise RecipeError("Its recipe is another one.")
            self._learner.restore(checkpoint)
            self.architecture = self.architecture.with_dropout_rates(rates)
        except (RuntimeError, ValueError, KeyError, PlaygroundError) as problem:
            raise StoreError(
                "The checkpoint does not belong to this run.", expected=str(problem).splitlines()[0], fix="Train again."
            ) from problem
        self._learner.change(recipe, rates)
        self._restored = True
        self._elapsed_before = checkpoint["elapsed_s"]
        self._epoch_sums = list(checkpoint["epoch_sums"])
        self._recent_losses.extend(checkpoint["recent_losses"])
        self._course = Course(**checkpoint["course"])
        self._last_finding = checkpoint["last_finding"]
        self._tested_at = checkpoint["tested_at"]

    # Between batches

    def _opening(self) -> Iterator[events.Event]:
        if self._restored or self.step:
            yield self._event(events.Resumed)
        else:
            yield self._event(
                events.RunStarted,
                train_size=len(self._splits.train),
                validation_size=len(self._splits.validation),
                test_size=len(self._splits.test),
                steps_per_epoch=self.steps_per_epoch,
                total_steps=self.steps_per_epoch * self.recipe.epochs,
                device=self._compute.device.type,
                precision=self._compute.precision,
            )
            yield self._event(events.SnapshotSaved)
        self._pending = self._nothing_pending()

    def _after_batch(self, before: int) -> Iterator[events.Event]:
        learner = self._learner
        ended = learner.position == 0
        due = learner.has_passed(self._cadence.evaluations(len(self._splits.train)), before)
        early = learner.step & (learner.step - 1) == 0 and learner.epoch == 0
        saved = learner.has_passed(self._cadence.checkpoints_per_epoch, before)
        if not (due or early or saved) and self._clock() - self._pending.since < self._cadence.report_s:
            return
        yield from self._report()
        if due:
            yield from self._evaluate(full=ended)
        if ended:
            yield self._epoch_done()
        if due or early:
            yield self._event(events.SnapshotSaved)
        if saved:
            yield self._event(events.CheckpointSaved)
        self._pending = self._nothing_pending()

    def _report(self) -> Iterator[events.Event]:
        pending, self._pending = self._pending, self._nothing_pending()
        if not pending.batches:
            return
        losses = torch.stack([batch.loss for batch in pending.batches]).tolist()
        corrects = torch.stack([batch.correct for batch in pending.batches]).tolist()
        # The clock is read after the figures are here, so that what the device still had to do is counted.
        rate = sum(batch.count for batch in pending.batches) / max(1e-9, self._clock() - pending.since)
        for batch, loss, correct in zip(pending.batches, losses, corrects, strict=True):
            if not loss < HOPELESS_LOSS:  # also true of not-a-number
                raise diverged(batch.step, loss, batch.lr)
            for place, value in enumerate((loss * batch.count, correct, batch.count)):
                self._epoch_sums[place] += value
            self._recent_losses.append(loss)
            yield self._event(
                events.StepDone,
                step=batch.step,
                epochs=batch.epochs,
                loss=loss,
                accuracy=correct / batch.count,
                lr=batch.lr,
                images_per_second=rate,
            )

    def _evaluate(self, *, full: bool) -> Iterator[events.Event]:
        data = self._validation if full and len(self._validation) <= len(self._splits.train) else self._quick
        with self._vitals.watching():
            measured = self._measured(data)
        yield self._evaluated("validation", measured, len(data))
        signs = self._signs(measured, data)
        finding = diagnose(signs, self._course)
        self._course = continued(self._course, signs)
        if finding.message != self._last_finding:
            self._last_finding = finding.message
            yield self._diagnosed(finding)

    def _signs(self, measured: Measured, data: Images) -> Signs:
        _, correct, count = self._epoch_sums
        classes = self.architecture.classes
        return Signs(
            architecture=self.architecture,
            recipe=self.recipe,
            class_names=class_names(self.recipe, self.architecture),
            train_size=len(self._splits.train),
            step=self.step,
            epochs=self._learner.epochs,
            lr=self._learner.lr,
            recent_loss=sum(self._recent_losses) / max(1, len(self._recent_losses)),
            train_accuracy=correct / max(1.0, count),
            validation_accuracy=measured.accuracy,
            validation_loss=measured.loss,
            dead=self._vitals.dead_channels(),
            gradients=self._vitals.gradients(),
            answers=tuple(torch.bincount(measured.scores.argmax(1), minlength=classes).tolist()),
            answers_expected=tuple(torch.bincount(data.labels, minlength=classes).tolist()),
        )

    def _measured(self, data: Images) -> Measured:
        measured = measure(self.model, data)
        if not measured.loss < HOPELESS_LOSS:  # the last batch may have been the one too many
            raise diverged(self.step, measured.loss, self._learner.lr)
        return measured

    def _epoch_done(self) -> events.Event:
        loss_sum, correct, count = self._epoch_sums
        self._epoch_sums = [0.0, 0.0, 0.0]
        return self._event(
            events.EpochDone, epoch=self._learner.epoch, train_loss=loss_sum / count, train_accuracy=correct / count
        )

    # Commands

    def _obey(self, inbox: Inbox) -> Generator[events.Event, None, events.EndStatus | None]:
        """Follow what has come; the generator's value is how to end, or None to go on."""
        commands = deque(inbox.poll())
        if self._steps_allowed == 0:
            commands.appendleft(events.Pause())
        while commands:
            command = commands.popleft()
            if isinstance(command, events.Pause):
                command = yield from self._hold(inbox, commands)
            match command:
                case events.Stop(status=status, reason=reason):
                    if reason:
                        yield from self._report()
                        yield self._diagnosed(Finding("stopped", reason, {}))
                    return status
                case events.Resume():
                    self._steps_allowed = None
                case events.Step(batches=batches):
                    self._steps_allowed = batches
                case _:
                    yield from self._obey_small(command)
        if self._steps_allowed is not None:
            self._steps_allowed -= 1
        return None

    def _hold(
        self, inbox: Inbox, commands: deque[events.Command]
    ) -> Generator[events.Event, None, events.Stop | events.Resume | events.Step]:
        """Stand still until a command says otherwise; the generator's value is that command."""
        yield from self._save()
        yield self._event(events.Paused)
        self._elapsed_before, self._running_since = self.elapsed_s, None
        while True:
            command = commands.popleft() if commands else inbox.wait()
            if isinstance(command, events.Stop | events.Resume | events.Step):
                break
            yield from self._obey_small(command)
        self._running_since = self._clock()
        self._pending = self._nothing_pending()
        if not isinstance(command, events.Stop):
            yield self._event(events.Resumed)
        return command

    def _obey_small(self, command: events.Command) -> Iterator[events.Event]:
        if isinstance(command, events.Snapshot):
            yield from self._save()
        elif isinstance(command, events.Change):
            yield from self._report()
            yield from self._change(command.knobs)

    def _change(self, knobs: dict[str, Any]) -> Iterator[events.Event]:
        before, rates_before = self.recipe, self.architecture.dropout_rates
        try:
            rates = tuple(knobs.get("dropout", rates_before))
            architecture = self.architecture.with_dropout_rates(rates)
            recipe = before.with_knobs({knob: value for knob, value in knobs.items() if knob != "dropout"})
            check_fit(architecture, recipe, self._splits)
        except (RecipeError, ArchitectureError, TypeError):
            return  # the server refuses such a change before it gets here, with words; a run does not end over it
        self.architecture = architecture
        self._learner.change(recipe, rates)
        old = before.model_dump(mode="json") | {"dropout": list(rates_before)}
        new = recipe.model_dump(mode="json") | {"dropout": list(rates)}
        changed = [knob for knob in knobs if old[knob] != new[knob]]
        self._look_anew(set(changed))
        for knob in changed:
            yield self._event(events.KnobChanged, knob=knob, before=old[knob], after=new[knob])
        if changed:
            yield self._event(events.CheckpointSaved)  # a run killed from here on resumes with the new values

    def _look_anew(self, changed: set[str]) -> None:
        """Forget losses that a change made incomparable with what comes."""
        if changed:
            self._recent_losses.clear()
        if changed & {"label_smoothing", "augmentation", "dropout", "batch_size"}:
            self._course = Course()

    def _finish(self) -> Iterator[events.Event]:
        yield from self._report()
        if self._tested_at != self.step:  # else it was cut right after its test
            measured = self._measured(self._splits.test.to(self._compute.device))
            self._tested_at = self.step
            yield self._evaluated("test", measured, len(self._splits.test))
            yield self._event(events.CheckpointSaved)
        yield self._event(events.RunEnded, status="completed")

    def _save(self) -> Iterator[events.Event]:
        yield from self._report()
        yield self._event(events.SnapshotSaved)
        yield self._event(events.CheckpointSaved)

    def _close(self, status: events.EndStatus) -> Iterator[events.Event]:
        yield from self._save()
        yield self._event(events.RunEnded, status=status)

    def _nothing_pending(self) -> _Pending:
        return _Pending([], self._clock())

    def _event(self, kind: Callable[..., events.Event], **fields: Any) -> events.Event:
        return kind(**{"step": self.step, "elapsed_s": round(self.elapsed_s, 4)} | fields)

    def _evaluated(self, split: events.Split, measured: Measured, size: int) -> events.Event:
        return self._event(events.Evaluated, split=split, loss=measured.loss, accuracy=measured.accuracy, size=size)

    def _diagnosed(self, finding: Finding) -> events.Event:
        words = {"finding": finding.name, "message": finding.message, "figures": finding.figures}
        return self._event(events.Diagnosed, **words, suggestion=finding.suggestion)

    def _failed(self, problem: PlaygroundError) -> events.Event:
        return self._event(events.RunFailed, what=problem.what, expected=problem.expected, fix=problem.fix)
