"""The history of a job over its chunks of steps: metrics, reports to a callback, and the result."""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nst_jax.distributed import to_host
from nst_jax.images.color import with_colors
from nst_jax.job.compile import CAPACITY
from nst_jax.job.pyramid import Stage
from nst_jax.optimize.loop import Metrics, State, picture
from nst_jax.types import Pixels

# The aim for the duration of a chunk of steps; the host does nothing in between.
CHUNK_SECONDS = 1.0


class JobState(NamedTuple):
    """The state of a job between two chunks of steps; a job resumed from it ends with the same bytes.

    Attributes:
        stage: number of the scale.
        left: number of its steps that are left.
        step: number of steps so far, over all scales.
        seconds: spent so far: "steps", "total".
        recoveries: the messages so far about steps that had to be undone.
        state: of the solver, in the host's memory; of several jobs that are stepped together, a tuple of states.
        rows: of such jobs, the metrics of the steps that each has made.
    """

    stage: int
    left: int
    step: int
    seconds: dict[str, float]
    recoveries: tuple[str, ...]
    state: Any
    rows: Sequence[Sequence[dict[str, Any]]] = ()


class StepInfo(NamedTuple):
    """A report on a chunk of steps, the argument of a callback.

    Attributes:
        step: number of steps so far, over all scales.
        rows: one mapping for each step of the chunk: step, scale, size, loss, the terms of the loss, seconds.
        messages: for the user, such as one about a step that was undone.
        pixels: returns the picture so far, at the size of its scale.
        last: the job ends here, whatever the callback returns.
        position: gives the state to resume from; to be called before the callback returns.
    """

    step: int
    rows: list[dict[str, Any]]
    messages: list[str]
    pixels: Callable[[], Pixels]
    last: bool
    position: Callable[[], JobState]


# Called after each chunk; True stops the job with the picture so far.
Callback = Callable[[StepInfo], bool]


@dataclass(frozen=True)
class Result:
    """The result of a job.

    Attributes:
        pixels: the picture, within [0, 1].
        rows: the metrics of every step; of a resumed job, of the steps since.
        seconds: "compile" (partly while steps are made), "steps", "total".
        recoveries: the messages about steps that had to be undone.
        stopped: the callback asked to stop early.
    """

    pixels: Pixels
    rows: list[dict[str, Any]]
    seconds: dict[str, float]
    recoveries: list[str]
    stopped: bool


class History:
    """Accumulates metrics and seconds over the chunks of all scales."""

    def __init__(self, observe: Callback, chunk_at: Sequence[int], resume: JobState | None) -> None:
        before = resume.seconds if resume else {"steps": 0.0, "total": 0.0}
        self.began, self.observe, self.chunk_at = time.perf_counter() - before["total"], observe, chunk_at
        self.rows: list[dict[str, Any]] = []
        self.step = resume.step if resume else 0
        self.recoveries = list(resume.recoveries) if resume else []
        self.step_seconds, self.compile_seconds = before["steps"], 0.0
        self.stopped = False

    def seconds(self) -> dict[str, float]:
        """Seconds spent so far on steps, and in total."""
        return {"steps": self.step_seconds, "total": time.perf_counter() - self.began}

    def chunk_length(self, left: int, seconds_per_step: float | None) -> int:
        """Steps of the next chunk: one at first, then as many as fill `CHUNK_SECONDS`."""
        length = 1 if seconds_per_step is None else int(CHUNK_SECONDS / max(seconds_per_step, 1e-6))
        ahead = bisect_right(self.chunk_at, self.step)
        if ahead < len(self.chunk_at):
            left = min(left, self.chunk_at[ahead] - self.step)
        return max(1, min(length, left, CAPACITY))

    def record(self, stage: Stage, left: int, metrics: Metrics, made: int, messages: list[str], state: State) -> None:
        """Records the rows of a chunk that ended in `state`, `left` steps before the end of its stage; calls the callback."""
        seconds = time.perf_counter() - self.began
        columns = {name: _as_loss(np.asarray(column)).tolist() for name, column in metrics.items()}
        new: list[dict[str, Any]] = [
            {"step": self.step + i + 1, "scale": stage.number, "size": stage.scale.size}
            | {"loss": columns["loss"][i]}
            | {name: column[i] for name, column in columns.items()}
            | {"seconds": round(seconds, 3)}
            for i in range(made)
        ]
        self.rows += new
        self.step += made
        self.recoveries += messages

        def position() -> JobState:
            # A copy: the next chunk of steps writes over the state.
            return JobState(stage.number, left, self.step, self.seconds(), tuple(self.recoveries), to_host(state))

        last = not left and stage.is_last
        self.stopped = bool(self.observe(StepInfo(self.step, new, messages, lambda: painted(state, stage), last, position)))


def _as_loss(column: np.ndarray) -> np.ndarray:
    """Replaces the largest float, which is the loss before any image was accepted, by infinity."""
    return np.where(column == np.finfo(column.dtype).max, np.inf, column)


def painted(state: State, stage: Stage) -> Pixels:
    """The picture of a state, with the content's colors if the stage has them."""
    pixels = to_host(picture(state))
    return pixels if stage.colors is None else with_colors(pixels, stage.colors)
