"""The training loop, in the order in which things happen."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from marginface.distributed import any_rank, from_first
from marginface.errors import WorkError
from marginface.loading.loader import training_batches
from marginface.models.store import save_model
from marginface.training import checkpoint as checkpoints
from marginface.training.build import TrainingRun
from marginface.training.interrupt import StopRequest, stop_on_signals
from marginface.training.log import Display, JsonLines, TensorBoard, read_events
from marginface.training.progress import Window
from marginface.training.run_folder import RunFolder
from marginface.training.start_head import start_head
from marginface.training.state import restore, state_of
from marginface.training.step import StepNumbers, learning_rate, train_step
from marginface.training.validation import current_model, evaluate_now
from marginface.training.warm_start import warm_start

logger = logging.getLogger(__name__)


@dataclass
class Voices:
    """Where a run speaks; only the first rank has any."""

    lines: JsonLines | None = None
    display: Display | None = None
    tensorboard: TensorBoard | None = None

    def close(self) -> None:
        for voice in (self.lines, self.display, self.tensorboard):
            if voice is not None:
                voice.close()


def run_training(run: TrainingRun, folder: RunFolder, *, resume: bool) -> int:
    """Train to the end, or until somebody asks to stop; return the exit code (0, or 128 + the signal).

    Args:
        run: built by `build_run`, at its first step.
        folder: where everything goes.
        resume: go on from the newest checkpoint; with none yet, start at the first step.

    Raises:
        WorkError: a loss that is not finite, a full disk; the last checkpoint stays good.
        InputError: a damaged checkpoint, changed data, a broken image.
    """
    step = from_first(checkpoints.latest_step(folder.checkpoints) if resume else None)
    if step is not None:
        restore(run, checkpoints.load_checkpoint(state_of(run), checkpoints.path_of(folder.checkpoints, step)))
    else:
        if run.config.start:
            start_head(run, run.config.start.head)
        if run.config.norm_warm_start_images:
            warm_start(run)
    voices = _open_voices(run, folder)
    try:
        with stop_on_signals() as stop:
            _loop(run, folder, voices, stop)
            return stop.exit_code
    finally:
        voices.close()


class Clock:
    """Seconds spent on steps; evaluations and checkpoints do not count."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap, and start the next."""
        now = time.perf_counter()
        seconds, self._started = now - self._started, now
        return seconds

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out what happens inside the context."""
        began = time.perf_counter()
        yield
        self._started += time.perf_counter() - began


def _loop(run: TrainingRun, folder: RunFolder, voices: Voices, stop: StopRequest) -> None:
    config = run.config
    per_epoch = run.batches.steps_per_epoch
    checkpoint_every = round(config.checkpoint.every_epochs * per_epoch)
    first = run.progress.step
    batches = training_batches(
        run.dataset,
        run.batches,
        first_step=first,
        num_steps=run.total_steps - first,
        num_workers=config.data.num_workers,
        skip_broken=config.data.skip_broken,
        reuse_memory=True,
    )
    if _stopped_before_evaluating(run, folder, voices):
        _evaluate(run, folder, voices)
    clock = Clock()
    numbers: dict[str, float] = {}
    try:
        for step, batch in zip(range(first, run.total_steps), batches, strict=False):
            _note_step(run, train_step(run, batch, step, keep_bad_batch_in=folder.path), step)
            done = step + 1
            if done % config.log.every_steps == 0 or done == run.total_steps:
                numbers = _log_window(run, voices, seconds=clock.lap())
            if voices.display:
                voices.display.step(done, numbers)
            stopping = any_rank(bool(stop), run.ranks.device)
            if _evaluation_is_due(run) and not stopping:
                with clock.stopped():
                    _evaluate(run, folder, voices)
            if (checkpoint_every and done % checkpoint_every == 0) or stopping:
                with clock.stopped():
                    _save(run, folder)
            if stopping:
                if voices.display:
                    voices.display.say(f"stopped after step {done}; go on with --resume.")
                return
    finally:
        batches.close()
    _finish(run, folder, voices)


def _evaluation_is_due(run: TrainingRun) -> bool:
    """Whether the step just done is one after which the recipe evaluates."""
    step, every = run.progress.step, max(1, round(run.config.evaluate_every_epochs * run.batches.steps_per_epoch))
    return bool(run.config.evaluations) and step > 0 and (step % every == 0 or step == run.total_steps)


def _stopped_before_evaluating(run: TrainingRun, folder: RunFolder, voices: Voices) -> bool:
    """Whether a resumed run was asked to stop where an evaluation was due, and left it out to stop at once."""
    if not _evaluation_is_due(run):
        return False
    missing = voices.lines is not None and all(
        event["step"] != run.progress.step for event in read_events(folder.log, "evaluation")
    )
    return any_rank(missing, run.ranks.device)


def _finish(run: TrainingRun, folder: RunFolder, voices: Voices) -> None:
    """Leave the last checkpoint, its model and the log's last line, also if a killed run had come to the last step."""
    if from_first(checkpoints.latest_step(folder.checkpoints)) != run.total_steps:
        _save(run, folder)
    else:
        _save_model(run, folder.model)
    if voices.lines and not read_events(folder.log, "end"):
        voices.lines.write("end", step=run.total_steps)


def _note_step(run: TrainingRun, numbers: StepNumbers, step: int) -> None:
    window = run.progress.window.plus(
        images=numbers.images,
        loss=numbers.loss,
        norm=numbers.norm,
        target_cos=numbers.target_cos,
        grad_norm=numbers.grad_norm,
        broken=numbers.broken,
        sources=numbers.sources,
    )
    run.progress = replace(run.progress, step=step + 1, window=window)


def _log_window(run: TrainingRun, voices: Voices, *, seconds: float) -> dict[str, float]:
    step, window = run.progress.step, run.progress.window
    numbers = {
        "epoch": step / run.batches.steps_per_epoch,
        **window.means(),
        "lr": learning_rate(run, step - 1),
        "images_per_second": round(window.images / max(seconds, 1e-9), 1),
    }
    run.progress = replace(run.progress, window=Window.empty(window.sources))
    if voices.lines:
        voices.lines.write("step", step=step, **numbers)
    if voices.tensorboard:
        voices.tensorboard.write("train", step, numbers)
    return numbers


def _evaluate(run: TrainingRun, folder: RunFolder, voices: Voices) -> None:
    step = run.progress.step
    results = evaluate_now(run)  # the same numbers on every rank
    run.progress = run.progress.with_best(results[0].ranking_score)
    for result in results:
        if voices.lines:
            voices.lines.write("evaluation", step=step, **result.fields)
        if voices.tensorboard:
            voices.tensorboard.write(f"evaluation/{result.name}", step, result.fields)
        if voices.display:
            voices.display.say(f"step {step}  {result.sentence}")
    if run.progress.best.step == step:
        _save_model(run, folder.best)


def _save(run: TrainingRun, folder: RunFolder) -> None:
    state = state_of(run)
    checkpoints.save_checkpoint(state, folder.checkpoints, step=run.progress.step, is_first_rank=run.ranks.is_first)
    if run.ranks.is_first:
        checkpoints.remove_old(folder.checkpoints, keep=run.config.checkpoint.keep, spare={run.progress.best.step})
    _save_model(run, folder.model)


def _save_model(run: TrainingRun, folder: Path) -> None:
    model = current_model(run)  # put together by all ranks
    if run.ranks.is_first:
        save_model(model, folder)


def _open_voices(run: TrainingRun, folder: RunFolder) -> Voices:
    if not run.ranks.is_first:
        return Voices()
    step = run.progress.step
    try:
        lines = JsonLines(folder.log, resume_after_step=step)
    except OSError as error:
        raise WorkError(f"{folder.log}: the log cannot be written ({error.strerror}).") from error
    voices = Voices(lines=lines, display=Display(run.total_steps, first_step=step))
    if run.config.log.tensorboard:
        voices.tensorboard = TensorBoard(folder.tensorboard, first_step=step)
    return voices
