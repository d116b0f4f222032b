"""The progress of a run: a bar on a terminal, a few plain lines anywhere else."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from nst_jax.errors import printable
from nst_jax.job import Scale
from nst_jax.runs.folder import loss_terms

_COUNTS = "{task.completed:.0f}/{task.total:.0f} ETA {task.fields[left]} {task.fields[rate]:.3g} it/s {task.fields[terms]}"
_SECONDS_BETWEEN_LINES = 60.0  # enough to see in a log that the run is alive


@runtime_checkable
class Progress(Protocol):
    """The display of a run."""

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Shows that `step` steps are done, over all scales; `metrics` is the last row."""
        ...

    def say(self, text: str) -> None:
        """Prints one line, above the bar."""
        ...


def is_interactive() -> bool:
    """Whether a bar can be shown: standard error is a terminal, or this is a notebook."""
    return (sys.stderr is not None and sys.stderr.isatty()) or Console(stderr=True).is_jupyter


@contextmanager
def progress(total_steps: int, quiet: bool = False, scales: Sequence[Scale] = ()) -> Iterator[Progress]:
    """Shows the progress of a run on standard error.

    On a terminal: a bar with the size, the time left, steps per second and the terms of the loss. Elsewhere: one line at each
    change of scale, each minute and at the end.

    Args:
        total_steps: over all scales.
        quiet: show nothing, not even the lines of `say`.
        scales: of the run, for the time left: a step takes longer the more pixels it has. Without them all steps are alike.

    Example:
        >>> with progress(100, quiet=True) as bar:
        ...     bar.update(1, {"scale": 0, "size": 256, "loss": 12.5, "content": 2.5, "style": 10.0, "seconds": 0.1})
    """
    clock = Clock(total_steps, scales)
    if quiet:
        yield _Silence()
    elif is_interactive():
        columns = TextColumn("{task.description}", markup=False), BarColumn(20), TextColumn(_COUNTS, markup=False)
        with RichProgress(*columns, console=Console(stderr=True)) as bar:
            yield _Bar(bar, total_steps, clock)
    else:
        lines = _Lines(total_steps, clock)
        try:
            yield lines
        finally:
            lines.close()


def step_cost(pixels: int) -> int:
    """The time of a step, in units of the time for one pixel.

    20,000 of them are the eigenproblems of the default loss, whatever the size: measured on two processor cores.

    Example:
        >>> step_cost(384 * 288)
        130592
    """
    return 20_000 + pixels


class Clock:
    """Estimates the time left: the cost of the steps left over the cost per second of this scale.

    The first steps of a scale wait for the compiler and are not counted; until more follow, the last rate holds.
    """

    def __init__(self, total_steps: int, scales: Sequence[Scale]) -> None:
        self._ends = list(accumulate(scale.steps for scale in scales)) or [total_steps]
        self._costs = [step_cost(scale.size**2) for scale in scales] or [1]
        self._scale, self._begin = None, (0, 0.0)
        self.steps_per_second = self._cost_per_second = 0.0

    def update(self, step: int, scale: Any) -> None:
        """Counts the steps up to `step`, which belongs to `scale`."""
        now = time.monotonic()
        if scale != self._scale:
            self._scale, self._begin = scale, (step, now)
        elif now > self._begin[1]:
            self.steps_per_second = (step - self._begin[0]) / (now - self._begin[1])
            number = next((i for i, end in enumerate(self._ends) if step <= end), -1)
            self._cost_per_second = self.steps_per_second * self._costs[number]

    def seconds_left(self, step: int) -> float | None:
        """The estimate after `step` steps; None before the first one."""
        begins = [0, *self._ends[:-1]]
        left = (max(0, end - max(begin, step)) for begin, end in zip(begins, self._ends, strict=True))
        cost = sum(steps * each for steps, each in zip(left, self._costs, strict=True))
        return cost / self._cost_per_second if self._cost_per_second else None


def format_number(value: float | None) -> str:
    """A number in at most three digits and a short exponent, "-" for None.

    Example:
        >>> format_number(12.5), format_number(0.0), format_number(23456.0), format_number(1e-5), format_number(None)
        ('12.5', '0', '2.35e4', '1e-5', '-')
    """
    if value is None:
        return "-"
    digits, _, exponent = f"{value:.3g}".partition("e")
    return f"{digits}e{int(exponent)}" if exponent else digits


def _terms(metrics: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {format_number(metrics[key])}" for key in loss_terms(metrics))


def _place(metrics: Mapping[str, Any]) -> str:
    """The size, and of a film the frame."""
    return f"{metrics['size']} px" + (f", frame {metrics['frame']}" if "frame" in metrics else "")


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else str(timedelta(seconds=round(min(seconds, 1e8)))).removeprefix("0:")


class _Silence:
    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, bar: RichProgress, total_steps: int, clock: Clock) -> None:
        self._bar, self._clock = bar, clock
        self._task = bar.add_task("compiling", total=total_steps, left="-", rate=0.0, terms="")

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._clock.update(step, metrics["scale"])
        fields = {"left": _time(self._clock.seconds_left(step)), "rate": self._clock.steps_per_second, "terms": _terms(metrics)}
        self._bar.update(self._task, completed=step, description=_place(metrics), **fields)

    def say(self, text: str) -> None:
        self._bar.console.print(Text(printable(text)), soft_wrap=True)


class _Lines:
    def __init__(self, total_steps: int, clock: Clock) -> None:
        self._total, self._clock = total_steps, clock
        self._scale, self._said_at, self._unsaid = None, 0.0, ""

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._clock.update(step, metrics["scale"])
        left = self._clock.seconds_left(step)
        estimate = f", {_time(left)} left" if left else ""
        self._unsaid = f"step {step} of {self._total} at {_place(metrics)}{estimate}: {_terms(metrics)}"
        new_scale = metrics["scale"] != self._scale
        if new_scale or time.monotonic() - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._scale, self._said_at = metrics["scale"], time.monotonic()
            self.close()

    def close(self) -> None:
        if self._unsaid:
            self.say(self._unsaid)
        self._unsaid = ""

    def say(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)
