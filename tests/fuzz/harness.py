"""Runs cases of damaged input in one process, each from a seed of its own, and collects what must not happen."""

import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nst_jax.errors import InputError

HANG_S = 10
# A case: does what a user would, and returns a word for the outcome; raises InputError for what is refused.
Case = Callable[[np.random.Generator], str]


@dataclass
class Tally:
    """What came of the cases of a kind: outcomes by their word, and failures with the seed that repeats them."""

    kind: str
    outcomes: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {word}" for word, count in self.outcomes.most_common())
        return f"{self.kind}: {sum(self.outcomes.values())} cases in all ({counts}), {len(self.failures)} failures"


class Hang(BaseException):
    """A case took too long."""


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_cases(
    kind: str,
    case: Case,
    count: int,
    *,
    seed: int = 0,
    seconds: float = float("inf"),
    hang_s: int = HANG_S,
    outside: Path | None = None,
) -> Tally:
    """Runs a case `count` times, or for so many seconds.

    A failure is an exception other than a one-line InputError, a case over `hang_s` seconds, an AssertionError of the case (a
    wrong result), or a change of the folder `outside`, in which nothing may be touched.
    """
    tally, end = Tally(kind), time.monotonic() + seconds
    before = _digest(outside)
    for number in range(count):
        if time.monotonic() > end:
            break
        trace = ""
        try:
            with _limited(hang_s):
                outcome = case(np.random.default_rng([seed, number]))
        except InputError as error:
            outcome = "refused" if "\n" not in str(error) and "\x1b" not in str(error) else "of several lines"
        except Hang:
            outcome = "hang"
        except Exception:
            outcome, trace = "traceback", traceback.format_exc(limit=-4)
        if outcome in ("of several lines", "hang", "traceback"):
            tally.failures.append(f"{kind} seed {seed} case {number}: {outcome}\n{trace}")
        tally.outcomes[outcome] += 1
        if _digest(outside) != before:
            tally.failures.append(f"{kind} seed {seed} case {number}: a file outside of the folder was changed")
            before = _digest(outside)
    return tally


def _digest(folder: Path | None) -> dict[str, bytes]:
    return {} if folder is None else {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with bits flipped, a part cut, zeroed, repeated or replaced by an extreme number."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not raw:
            break
        # Headers are short and matter most: half of the places are near the beginning.
        place = int(rng.integers(0, len(raw) if rng.random() < 0.5 else min(len(raw), 200)))
        size = int(rng.integers(1, 33))
        match rng.integers(0, 8):
            case 0 | 1 | 2:
                raw[place] ^= 1 << int(rng.integers(0, 8))
            case 3:
                raw[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
            case 4:
                del raw[int(rng.integers(0, len(raw))) :]
            case 5:
                raw[place : place + size] = bytes(size)
            case 6:
                raw[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"]
                )
            case _:
                raw[place:place] = raw[place : place + size]
    return bytes(raw)
