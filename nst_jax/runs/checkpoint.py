"""Checkpoints of a run: where the job stood, so that a killed run goes on to the same bytes. The only importer of Orbax.

    checkpoints/00000120/   the solver's state as Orbax writes it; the rest of the position is its metadata

A checkpoint appears whole or not at all; the last two are kept. Each carries a hash of its arrays: neither Orbax nor the
format below it notices every damage.
"""

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nst_jax.job import JobState
from nst_jax.system.atomic_write import os_errors_as_input

KEPT = 2
_DIGITS = 8
_SPARE_BYTES = 1 << 20  # for Orbax's own files
# One for all runs of the process: Orbax fails where two of its threads save at once.
_WRITER = ThreadPoolExecutor(1)


class Checkpoints:
    """Writes the checkpoints of one run, in the background: the job waits for a copy of the state in memory, no more."""

    def __init__(self, folder: Path, every_s: float) -> None:
        """Into `folder`, one each so many seconds; 0 is none but where `write` is called."""
        self.folder, self.every_s = folder, every_s
        self._last = time.monotonic()
        self._pending: Future[None] | None = None

    def offer(self, position: Callable[[], JobState], metrics_bytes: int) -> None:
        """Begins to write a checkpoint if one is due and the last one is on disk.

        Args:
            position: gives where the job stands.
            metrics_bytes: the length of metrics.jsonl there.

        Raises:
            InputError: the last one could not be written.
        """
        if self._pending and self._pending.done():
            self.wait()
        if self.every_s and not self._pending and time.monotonic() - self._last >= self.every_s:
            self._begin(position(), metrics_bytes)

    def write(self, position: JobState, metrics_bytes: int) -> None:
        """Writes a checkpoint now, and waits until it is on disk. Raises an InputError if it could not be written."""
        self.wait()
        self._begin(position, metrics_bytes)
        self.wait()

    def wait(self) -> None:
        """Waits until all is on disk. Raises an InputError if it could not be written."""
        if self._pending:
            pending, self._pending = self._pending, None
            pending.result()

    def _begin(self, position: JobState, metrics_bytes: int) -> None:
        self._last = time.monotonic()
        self._pending = _WRITER.submit(_write, self.folder, position, metrics_bytes)


def latest(
    folder: Path, template: Callable[[int], Any], metrics_bytes: int, say: Callable[[str], None]
) -> tuple[JobState, int] | None:
    """The newest checkpoint that is whole: the position, and the length of metrics.jsonl there. Damaged ones are removed.

    Args:
        folder: of the checkpoints.
        template: number of a scale -> a state of the solver there, whose structure, shapes and types count.
        metrics_bytes: how long metrics.jsonl is: it must not be shorter than the checkpoint says.
        say: told of every checkpoint that is damaged.
    """
    for path in reversed(_all(folder)):
        try:
            position, length = _read(path, template)
            if length > metrics_bytes:
                raise ValueError("metrics.jsonl is shorter than it was")
        except Exception as error:  # whatever a reader says of a file that is damaged in any way
            reason = " ".join(str(error).split())[:100]
            say(f"checkpoint of step {int(path.name)} is damaged ({reason}): going back to the one before, or the beginning")
            shutil.rmtree(path, ignore_errors=True)
        else:
            return position, length
    return None


def discard(folder: Path) -> None:
    """Removes all checkpoints: the run has ended."""
    shutil.rmtree(folder, ignore_errors=True)


def _all(folder: Path) -> list[Path]:
    """Whole checkpoints, by step."""
    return sorted(path for path in folder.glob("*") if re.fullmatch(rf"\d{{{_DIGITS},}}", path.name))


def _write(folder: Path, position: JobState, metrics_bytes: int) -> None:
    place = position._asdict()
    state = place.pop("state")
    place |= {"metrics_bytes": metrics_bytes, "sha256": _hash(state), "recoveries": list(position.recoveries)}
    with os_errors_as_input(folder):
        folder.mkdir(exist_ok=True)
        _remove_parts(folder)  # of a process that was killed
        _check_space(folder, sum(array.nbytes for array in jax.tree.leaves(state)) + _SPARE_BYTES)
        try:
            with _checkpointer() as orbax:
                orbax.save(folder.absolute() / f"{position.step:0{_DIGITS}d}", state, force=True, custom_metadata=place)
        except ValueError as error:
            _remove_parts(folder)
            raise _refusal(error) from error
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _remove_parts(folder: Path) -> None:
    for part in {*folder.iterdir()} - {*_all(folder)}:
        shutil.rmtree(part, ignore_errors=True)


def _check_space(folder: Path, needed: int) -> None:
    """Orbax would notice as well, with pages of traces from its threads."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(path: Path, template: Callable[[int], Any]) -> tuple[JobState, int]:
    with _checkpointer() as orbax:
        place: dict[str, Any] = orbax.metadata(path.absolute()).custom_metadata
        length, digest = place.pop("metrics_bytes"), place.pop("sha256")
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), template(place["stage"]))
        state = orbax.restore(path.absolute(), item=blank)
    if _hash(state) != digest:
        raise ValueError("its arrays are not those that were written")
    facts: dict[str, Any] = place | {"recoveries": tuple(place["recoveries"]), "state": state}
    return JobState(**facts), length


def _hash(state: Any) -> str:
    digest = hashlib.sha256()
    for array in jax.tree.leaves(state):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checkpointer() -> Any:
    """Orbax's, for a state that lies whole in this process's memory: with other processes it has nothing to do.

    Orbax is imported where it is first needed: a thread beside the job.
    """
    from orbax import checkpoint

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # its errors come as exceptions; it would print them as well
    number = jax.process_index()
    alone = checkpoint.options.MultiprocessingOptions(
        primary_host=number, active_processes={number}, barrier_sync_key_prefix=f"process{number}"
    )
    handler = checkpoint.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return checkpoint.Checkpointer(handler, multiprocessing_options=alone)


def _refusal(error: ValueError) -> Exception:
    """What the operating system said, if it was that which made Orbax fail."""
    reason = re.search(r"([^:]+) \[os_error_code='(\d+)'", str(error))
    return OSError(int(reason[2]), reason[1].strip()) if reason else error
