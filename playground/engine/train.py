"""Training as a generator of events: it owns no process, clock, file or screen.

Whatever drives it (a loop, a test, the worker process, the command line) takes one event after another; between two
events the trainer stands still and ``weights()`` and ``checkpoint()`` may be taken. What is drawn for a batch is a
pure function of (seed, epoch) and (seed, step), so that a run cut anywhere and resumed ends in the same weights.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from playground.engine.augment import augment
from playground.engine.build import build, class_scores
from playground.engine.cadence import Cadence
from playground.engine.data import Images, Splits, splits_for
from playground.engine.diagnosis import PROBE_SIZE, Figures, dead_channels, diagnose
from playground.engine.evaluate import Measured, measure, scaled
from playground.engine.inbox import Inbox, NoCommands
from playground.engine.optimize import apply_knobs, lr_at, make_optimizer
from playground.engine.precision import choose_compute
from playground.engine.seeds import generator, mixed_seed
from playground.engine.trouble import HOPELESS_LOSS, as_memory_error, check_fit, check_request, diverged
from playground.errors import PlaygroundError, RecipeError, StoreError
from playground.spec import events
from playground.spec.architecture import Architecture
from playground.spec.recipe import KNOBS, Recipe
from playground.spec.validation import Limits


@dataclass
class _Pending:
    """Figures of batches that still lie on the device; fetched together, so that no step waits for the device."""

    steps: list[int]
    losses: list[Tensor]
    corrects: list[Tensor]
    counts: list[int]
    lrs: list[float]
    since: float


class Trainer:
    """One training of an architecture by a recipe, from its first step or from a checkpoint.

    Raises ArchitectureError, RecipeError or DataError before the first event; later trouble is an event.
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
    ) -> None:
        self.architecture = architecture
        self.recipe = recipe
        self.step = 0
        self.model: nn.Sequential = build(architecture, seed=recipe.seed, limits=limits)
        self._cadence = cadence or Cadence()
        self._clock = clock
        self._compute = choose_compute(recipe)
        device = self._compute.device
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if splits is None:
            check_request(architecture, recipe)
        self._splits = splits or splits_for(recipe)
        check_fit(architecture, recipe, self._splits)
        self._train = self._splits.train.to(device)
        self._validation = self._splits.validation.to(device)
        self._quick = self._quick_validation()
        self._optimizer = make_optimizer(self.model, recipe, device)
        self._draws_in_forward = any(isinstance(module, nn.Dropout) for module in self.model.modules())
        self._order: tuple[int, Tensor] | None = None
        self._epoch_sums = [0.0, 0.0, 0.0]  # loss × images, right answers, images
        self._elapsed_before = 0.0
        self._running_since: float | None = None
        self._pending = self._nothing_pending()
        self._steps_allowed: int | None = None
        self._last_finding: str | None = None
        self._restored = False

    @property
    def steps_per_epoch(self) -> int:
        """Batches that cover every training image; a last batch of one image is left out (batch norm needs two)."""
        full, rest = divmod(len(self._train), self.recipe.batch_size)
        return full + int(rest > 1 or full == 0)

    @property
    def total_steps(self) -> int:
        """Batches of the whole run."""
        return self.steps_per_epoch * self.recipe.epochs

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
            while self.step < self.total_steps:
                ending = yield from self._obey(inbox)
                if ending is not None:
                    yield from self._close(ending)
                    return
                self._train_batch()
                yield from self._after_batch()
            measured = self._measured(self._splits.test.to(self._compute.device))
            yield self._evaluated("test", measured.loss, measured.accuracy, len(self._splits.test))
            yield self._event(events.CheckpointSaved)
            yield self._event(events.RunEnded, status="completed")
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
            "schema": 1,
            "architecture": self.architecture.canonical_json(),
            "recipe": self.recipe.canonical_json(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "epoch_sums": list(self._epoch_sums),
            "last_finding": self._last_finding,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where a checkpoint was taken; raises StoreError for one of another network or recipe."""
        try:
            recipe = Recipe.read(checkpoint["recipe"])
            knobs = {knob: recipe.model_dump(mode="json")[knob] for knob in KNOBS}
            if self.recipe.with_knobs(knobs) != recipe:
                raise RecipeError("Its recipe is another one.")
            self.model.load_state_dict(checkpoint["model"])
            self._optimizer.load_state_dict(checkpoint["optimizer"])
        except (RuntimeError, ValueError, KeyError, PlaygroundError) as problem:
            raise StoreError(
                "The checkpoint does not belong to this run.", expected=str(problem).splitlines()[0], fix="Train again."
            ) from problem
        self._restored = True
        self.recipe = recipe
        apply_knobs(self._optimizer, self.recipe)
        self.step = checkpoint["step"]
        self._elapsed_before = checkpoint["elapsed_s"]
        self._epoch_sums = list(checkpoint["epoch_sums"])
        self._last_finding = checkpoint["last_finding"]

    # One batch

    def _train_batch(self) -> None:
        step = self.step
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self.recipe.batch_size
        chosen = self._order_of(epoch)[place * size : (place + 1) * size]
        images = scaled(self._train.images.index_select(0, chosen))
        labels = self._train.labels.index_select(0, chosen)
        images = augment(images, self.recipe.augmentation, seed=self.recipe.seed, step=step)
        lr = lr_at(self.recipe, step, self.steps_per_epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        scores = self._forward(images)
        loss = functional.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step = step + 1
        pending = self._pending
        pending.steps.append(self.step)
        pending.losses.append(loss.detach())
        pending.corrects.append((scores.detach().argmax(1) == labels).sum())
        pending.counts.append(len(labels))
        pending.lrs.append(lr)

    def _forward(self, images: Tensor) -> Tensor:
        with self._compute.autocast():
            if not self._draws_in_forward:
                return class_scores(self.model(images)).float()
            devices = [self._compute.device] if self._compute.device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(mixed_seed("dropout", self.recipe.seed, self.step))
                return class_scores(self.model(images)).float()

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self._train), generator=generator("order", self.recipe.seed, epoch))
            self._order = (epoch, order.to(self._compute.device))
        return self._order[1]

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
                total_steps=self.total_steps,
                device=self._compute.device.type,
                precision=self._compute.precision,
            )
            yield self._event(events.SnapshotSaved)
        self._pending = self._nothing_pending()

    def _after_batch(self) -> Iterator[events.Event]:
        in_epoch = self.step % self.steps_per_epoch
        due = in_epoch == 0 or in_epoch % max(1, self.steps_per_epoch // self._cadence.evaluations_per_epoch) == 0
        early = self.step & (self.step - 1) == 0 and self.step < self.steps_per_epoch
        saved = in_epoch == 0 or in_epoch % max(1, self.steps_per_epoch // self._cadence.checkpoints_per_epoch) == 0
        if not (due or early or saved) and self._clock() - self._pending.since < self._cadence.report_s:
            return
        yield from self._report()
        if due:
            yield from self._evaluate(full=in_epoch == 0)
        if in_epoch == 0:
            yield self._epoch_done()
        if due or early:
            yield self._event(events.SnapshotSaved)
        if saved:
            yield self._event(events.CheckpointSaved)
        self._pending = self._nothing_pending()

    def _report(self) -> Iterator[events.Event]:
        pending, self._pending = self._pending, self._nothing_pending()
        if not pending.steps:
            return
        losses = torch.stack(pending.losses).tolist()
        corrects = torch.stack(pending.corrects).tolist()
        # The clock is read after the figures are here, so that what the device still had to do is counted.
        rate = sum(pending.counts) / max(1e-9, self._clock() - pending.since)
        for step, loss, correct, count, lr in zip(
            pending.steps, losses, corrects, pending.counts, pending.lrs, strict=True
        ):
            if not loss < HOPELESS_LOSS:  # also true of not-a-number
                raise diverged(step, loss, lr)
            for place, value in enumerate((loss * count, correct, count)):
                self._epoch_sums[place] += value
            yield self._event(
                events.StepDone,
                step=step,
                loss=loss,
                accuracy=correct / count,
                lr=lr,
                images_per_second=rate,
            )

    def _evaluate(self, *, full: bool) -> Iterator[events.Event]:
        data = self._validation if full else self._quick
        measured = self._measured(data)
        yield self._evaluated("validation", measured.loss, measured.accuracy, len(data))
        _, correct, count = self._epoch_sums
        figures = Figures(
            epoch=self.step / self.steps_per_epoch,
            classes=self.architecture.classes,
            lr=lr_at(self.recipe, self.step - 1, self.steps_per_epoch),
            train_accuracy=correct / max(1.0, count),
            validation_accuracy=measured.accuracy,
            steps=self.step,
            optimizer=self.recipe.optimizer.kind,
            dead=dead_channels(self.model, self.architecture, scaled(self._quick.images[:PROBE_SIZE])),
        )
        finding, message, behind = diagnose(figures)
        if message != self._last_finding:
            self._last_finding = message
            yield self._event(events.Diagnosed, finding=finding, message=message, figures=behind)

    def _measured(self, data: Images) -> Measured:
        measured = measure(self.model, data)
        if not measured.loss < HOPELESS_LOSS:  # the last batch may have been the one too many
            raise diverged(self.step, measured.loss, lr_at(self.recipe, self.step - 1, self.steps_per_epoch))
        return measured

    def _epoch_done(self) -> events.Event:
        loss_sum, correct, count = self._epoch_sums
        self._epoch_sums = [0.0, 0.0, 0.0]
        return self._event(
            events.EpochDone,
            epoch=self.step // self.steps_per_epoch,
            train_loss=loss_sum / count,
            train_accuracy=correct / count,
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
                case events.Stop(status=status):
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
            yield from self._report()
            yield self._event(events.SnapshotSaved)
        elif isinstance(command, events.Change):
            yield from self._report()
            yield from self._change(command.knobs)

    def _change(self, knobs: dict[str, Any]) -> Iterator[events.Event]:
        before = self.recipe
        try:
            self.recipe = before.with_knobs(knobs)
        except RecipeError:
            return  # the page has said so already; a run does not end over a knob
        apply_knobs(self._optimizer, self.recipe)
        old, new = before.model_dump(mode="json"), self.recipe.model_dump(mode="json")
        changed = [knob for knob in knobs if old[knob] != new[knob]]
        for knob in changed:
            yield self._event(events.KnobChanged, knob=knob, before=old[knob], after=new[knob])
        if changed:
            yield self._event(events.CheckpointSaved)  # a run killed from here on resumes with the new values

    def _save(self) -> Iterator[events.Event]:
        yield from self._report()
        yield self._event(events.SnapshotSaved)
        yield self._event(events.CheckpointSaved)

    def _close(self, status: events.EndStatus) -> Iterator[events.Event]:
        yield from self._save()
        yield self._event(events.RunEnded, status=status)

    # Small things

    def _quick_validation(self) -> Images:
        size = min(self._cadence.quick_size, len(self._validation))
        shuffled = torch.randperm(len(self._validation), generator=generator("quick"))
        return self._validation.take(shuffled[:size].sort().values)

    def _nothing_pending(self) -> _Pending:
        return _Pending([], [], [], [], [], self._clock())

    def _event(self, kind: Callable[..., events.Event], **fields: Any) -> events.Event:
        return kind(**{"step": self.step, "elapsed_s": round(self.elapsed_s, 4)} | fields)

    def _evaluated(self, split: events.Split, loss: float, accuracy: float, size: int) -> events.Event:
        return self._event(events.Evaluated, split=split, loss=loss, accuracy=accuracy, size=size)

    def _failed(self, problem: PlaygroundError) -> events.Event:
        return self._event(events.RunFailed, what=problem.what, expected=problem.expected, fix=problem.fix)
