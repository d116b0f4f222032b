"""The callback that records a job: metrics, pictures, checkpoints and the progress bar."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from nst_jax.job import Callback, StepInfo
from nst_jax.runs.checkpoint import Checkpoints
from nst_jax.runs.folder import RunFolder, resume_command
from nst_jax.runs.progress import Progress

_SECONDS_BETWEEN_PICTURES = 5.0


@dataclass
class Recorder:
    """Records the reports of a job; stops it once `stop` is set.

    Attributes:
        folder: of the run.
        bar: shows the progress.
        log_every: steps between rows of metrics; the first and the last step have one, too.
        snapshot_at: the steps whose pictures are kept.
        checkpoints: writes them, if asked for.
        observe: sees each report, too; True stops the job with it.
        stop: set from outside, by a signal.
        interrupted: the job was stopped before its end.
        shown_at: the time of the last current picture.
    """

    folder: RunFolder
    bar: Progress
    log_every: int
    snapshot_at: Sequence[int] = ()
    checkpoints: Checkpoints | None = None
    observe: Callback | None = None
    stop: bool = False
    interrupted: bool = False
    shown_at: float = -math.inf

    def __call__(self, report: StepInfo) -> bool:
        """Records one chunk of steps; True asks the job to end with it."""
        asked = self.observe is not None and self.observe(report)
        stop = self.stop or asked  # once: a signal may set it while the rows are written
        self.interrupted = stop and not report.last
        length = self.folder.append_metrics([row for row in report.rows if self._is_due(row, report)])
        for message in report.messages:
            self.bar.say(message)
        if report.rows:
            self.bar.update(report.step, report.rows[-1])
        if report.step in self.snapshot_at:
            self.folder.write_snapshot(report.step, report.pixels())
        if not report.last and time.monotonic() - self.shown_at > _SECONDS_BETWEEN_PICTURES:
            self.shown_at = time.monotonic()
            self.folder.write_current(report.pixels())
        if self.interrupted:
            self._interrupt(report, length)
        elif self.checkpoints and not report.last:
            self.checkpoints.offer(report.position, length)
        return stop

    def _is_due(self, row: Mapping[str, Any], report: StepInfo) -> bool:
        return row["step"] == 1 or row["step"] % self.log_every == 0 or (report.last and row is report.rows[-1])

    def _interrupt(self, report: StepInfo, length: int) -> None:
        """Writes a checkpoint, and then the last row, which the resumed job writes again."""
        if self.checkpoints:
            self.checkpoints.write(report.position(), length)
        self.folder.append_metrics([row for row in report.rows[-1:] if not self._is_due(row, report)])
        self.bar.say(
            f"stopped at step {report.step}: the result is the picture so far, at {report.rows[-1]['size']} px;"
            f" to resume: {resume_command(self.folder.path)}"
        )


@runtime_checkable
class Stoppable(Protocol):
    """What asks its job to end, with the picture so far, once `stop` is set."""

    stop: bool


@contextmanager
def interruptible(*recorders: Stoppable) -> Iterator[None]:
    """While this lasts, the first Ctrl-C sets `stop`; the second one raises KeyboardInterrupt.

    Outside the main thread, which alone receives signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        for recorder in recorders:
            recorder.stop = True  # no more: a handler may run in the middle of a write to the terminal
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
