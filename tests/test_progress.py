"""The bar on a pseudo-terminal, and the plain lines elsewhere."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nst_jax.runs import progress as module
from nst_jax.runs.progress import progress


def _row(scale: int = 0, loss: float | None = 1500.0) -> dict[str, Any]:
    return {"scale": scale, "size": (256, 512)[scale], "loss": loss, "content": 500.0, "style": 1000.0, "tv": 0.01234}


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
    assert err.splitlines() == [
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
    assert capfd.readouterr().err.splitlines()[-1].startswith("step 7 of 40 at 256 px: loss - content")


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
    assert "compiling |" in shown
    last = shown.rstrip().rsplit("\r", 1)[-1]
    pattern = r"512 px \|█+\| 40/40 ETA 00:00 +[\d.]+it/s, loss 1\.5e3 content 500 style 1e3 tv 0\.0123"
    assert re.search(pattern, last), shown


def test_on_a_terminal_what_is_said_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch):
    shown = _on_a_terminal(monkeypatch, _two_scales)
    assert re.search(r"\r *\ra drawing stands in\r\n", shown)  # the bar's line is wiped first
    assert shown.count("drawing") == 1


def test_seconds_of_compiling_do_not_count_in_the_rate(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(time, "time", lambda: now)
    rates = []

    def work() -> None:
        nonlocal now
        with progress(400) as bar:
            for step in range(10, 401, 10):
                now += 1.0 if step not in (10, 210) else 100.0  # ten steps a second, but for two compilations
                bar.update(step, _row(scale=step > 200))
                rates.append(bar._bar.format_dict["rate"] if step not in (10,) else None)  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(module.tqdm, "monitor_interval", 0)
    monkeypatch.setattr("tqdm.std.time", lambda: now)
    _on_a_terminal(monkeypatch, work)
    assert rates[1:] == pytest.approx([10.0] * 39)
