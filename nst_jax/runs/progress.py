"""How far the run is: a bar on a terminal, a few plain lines anywhere else."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

from nst_jax.runs.folder import loss_terms

_BAR = "{desc} |{bar}| {n_fmt}/{total_fmt} ETA {remaining} {rate_noinv_fmt}{postfix}"
_SECONDS_BETWEEN_LINES = 60.0  # enough to see in a log that the run is alive


@runtime_checkable
class Progress(Protocol):
    """What the loop of steps tells the one who waits for it."""

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Says that `step` steps of all scales are done; `metrics` is the row logged last."""
        ...

    def say(self, text: str) -> None:
        """Prints one line above the bar."""
        ...


@contextmanager
def progress(total_steps: int, quiet: bool = False) -> Iterator[Progress]:
    """Shows how far a run of `total_steps` steps over all scales is, on standard error.

    On a terminal a bar with size, ETA, steps a second and the terms of the loss; elsewhere a line at each change of
    scale, each minute and at the end.

    Args:
        total_steps: the steps of all scales together.
        quiet: show nothing at all, not even what is said.

    Example:
        >>> with progress(100, quiet=True) as bar:
        ...     bar.update(1, {"scale": 0, "size": 256, "loss": 12.5, "content": 2.5, "style": 10.0, "tv": 0.0})
    """
    if quiet:
        yield _Silence()
    elif sys.stderr.isatty():
        with tqdm(total=total_steps, desc="compiling", bar_format=_BAR, unit="it", dynamic_ncols=True) as bar:
            yield _Bar(bar)
    else:
        lines = _Lines(total_steps)
        try:
            yield lines
        finally:
            lines.close()


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


class _Silence:
    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, bar: "tqdm[Any]") -> None:
        self._bar, self._scale = bar, None

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        bar = self._bar
        bar.set_postfix_str(_terms(metrics), refresh=False)
        if metrics["scale"] == self._scale:
            bar.update(step - bar.n)
            return
        self._scale = metrics["scale"]
        bar.set_description_str(f"{metrics['size']} px", refresh=False)
        # The first steps of a scale wait for the compiler: they count as done, their seconds do not.
        bar.initial += step - bar.n
        bar.n = bar.last_print_n = step
        bar.unpause()
        bar.refresh()

    def say(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)


class _Lines:
    def __init__(self, total_steps: int) -> None:
        self._total, self._scale, self._said_at, self._unsaid = total_steps, None, 0.0, ""

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._unsaid = f"step {step} of {self._total} at {metrics['size']} px: {_terms(metrics)}"
        new_scale = metrics["scale"] != self._scale
        if new_scale or time.monotonic() - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._scale, self._said_at = metrics["scale"], time.monotonic()
            self.close()

    def close(self) -> None:
        if self._unsaid:
            self.say(self._unsaid)
        self._unsaid = ""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
