"""The bar on a pseudo-terminal, and the plain lines elsewhere."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nst_jax.job import Scale
from nst_jax.runs.progress import Clock, progress


def _row(scale: int = 0, loss: float | None = 1500.0) -> dict[str, Any]:
    return {
        "step": 1,
        "scale": scale,
        "size": (256, 512)[scale],
        "seconds": 0.5,
        "loss": loss,
        "content": 500.0,
        "style": 1000.0,
        "tv": 0.01234,
    }


def _two_scales() -> None:
    with progress(40) as bar:
        bar.say("a drawing stands in")
        for step in range(1, 41):
            bar.update(step, _row(scale=step > 20))


def test_quiet_shows_nothing(capfd: pytest.CaptureFixture[str]):
    with progress(10, quiet=True) as bar:
        bar.say("anything")
        bar.update(1, _row())
    assert capfd.readouterr() == ("", "")


def test_without_a_terminal_a_line_for_each_scale_and_the_end(capfd: pytest.CaptureFixture[str]):
    _two_scales()
    terms = "loss 1.5e3 content 500 style 1e3 tv 0.0123"
    out, err = capfd.readouterr()
    assert out == ""
    assert [re.sub(r", [\d:]+ left", "", line) for line in err.splitlines()] == [
        "a drawing stands in",
        f"step 1 of 40 at 256 px: {terms}",
        f"step 21 of 40 at 512 px: {terms}",
        f"step 40 of 40 at 512 px: {terms}",
    ]


def test_without_a_terminal_a_run_that_stops_early_says_where(capfd: pytest.CaptureFixture[str]):
    def interrupted() -> None:
        with progress(40) as bar:
            bar.update(1, _row())
            bar.update(7, _row(loss=None))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capfd.readouterr().err.splitlines()[-1].endswith(": loss - content 500 style 1e3 tv 0.0123")


def test_without_a_terminal_a_line_each_minute(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress(1000) as bar:
        for step in range(1, 200):
            now += 1.0
            bar.update(step, _row())
    steps = [int(line.split()[1]) for line in capfd.readouterr().err.splitlines()]
    assert steps == [1, 61, 121, 181, 199]


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> str:
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    with os.fdopen(theirs, "w", buffering=1) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        work()
    shown = b"".join(_until_hung_up(ours))
    os.close(ours)
    return shown.decode()


def _until_hung_up(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # Linux says EIO where other systems say end of file
        while part := os.read(terminal, 1 << 16):
            yield part


def test_on_a_terminal_a_bar_with_size_steps_eta_rate_and_terms(monkeypatch: pytest.MonkeyPatch):
    shown = _on_a_terminal(monkeypatch, _two_scales)
    assert "compiling" in shown
    pattern = r"512 px ━+ 40/40 ETA 00:00 +\S+ it/s +loss 1\.5e3 content 500 style 1e3 tv 0\.0123"
    assert re.search(pattern, shown), shown


def test_on_a_terminal_what_is_said_stands_above_the_bar_as_plain_text(monkeypatch: pytest.MonkeyPatch):
    def work() -> None:
        with progress(40) as bar:
            bar.say("[red]a drawing\x1b[0m stands in")

    shown = _on_a_terminal(monkeypatch, work)
    assert re.search(r"\[red\]a drawing\\x1b\[0m stands in *\r\n", shown), shown


def _course(monkeypatch: pytest.MonkeyPatch, scales: list[Scale], seconds: Callable[[int], float]) -> dict[int, float | None]:
    """The seconds left by step, of a run whose step number i takes seconds(i)."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock, left = Clock(sum(scale.steps for scale in scales), scales), {}
    step = 0
    for number, scale in enumerate(scales):
        for _ in range(scale.steps):
            step += 1
            now += seconds(step)
            clock.update(step, number)
            left[step] = clock.seconds_left(step)
    return left


def test_the_time_left_weighs_steps_by_their_pixels(monkeypatch: pytest.MonkeyPatch):
    scales = [Scale(100, 50), Scale(200, 50), Scale(400, 50)]
    seconds = [0.3, 0.6, 1.8]  # 10 µs for each pixel, and 0.2 s whatever the size
    left = _course(monkeypatch, scales, lambda step: seconds[(step - 1) // 50])
    assert left[1] is None
    assert left[10] == pytest.approx(0.3 * 40 + 0.6 * 50 + 1.8 * 50)
    assert left[100] == pytest.approx(1.8 * 50)
    assert left[150] == 0


def test_seconds_of_compiling_do_not_count(monkeypatch: pytest.MonkeyPatch):
    left = _course(monkeypatch, [Scale(100, 50), Scale(100, 50)], lambda step: 30.0 if step in (1, 51) else 0.1)
    assert left[50] == pytest.approx(5.0)
    assert left[51] == pytest.approx(4.9)
    assert left[80] == pytest.approx(2.0)
