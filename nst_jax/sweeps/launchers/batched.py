"""Members of a sweep in one program, if they differ only in what is traced: weights, seeds, pictures of one size."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext

from nst_jax.errors import InputError
from nst_jax.job import Result, Stage, job_steps, needs, plan
from nst_jax.job.batched import JobSteps, run_batched
from nst_jax.job.compile import compile_in_background
from nst_jax.job.memory_plan import most_jobs
from nst_jax.runner.prepare import Made, Prepared, prepare
from nst_jax.runner.run import new_run, recorder_of, write_record
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.progress import Progress, progress
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.member import Member, compose_member, ended, failed
from nst_jax.system.compilation_cache import use_compilation_cache


@dataclass(frozen=True)
class PreparedMember:
    """A member whose pictures are read and brought to their sizes."""

    member: Member
    prepared: Prepared
    stages: list[Stage]

    @property
    def key(self) -> tuple[Any, ...]:
        """Members with equal keys may share a program."""
        spec, params = self.prepared.spec, self.prepared.params
        return self.member.config.network.name, spec.scales, *(needs(params, s, spec).key for s in self.stages)


def run_members(sweep: SweepFolder, members: Sequence[Member], most: int | None) -> None:
    """Runs members in batches, each of which is one program; every member leaves the record that it leaves alone.

    Args:
        sweep: told how each member ends.
        members: any; those that cannot share a program go into different batches.
        most: members in one batch; None is as many as memory holds.
    """
    groups: dict[Any, list[PreparedMember]] = defaultdict(list)
    for member in members:
        try:
            ready = get_ready(member)
            groups[ready.key].append(ready)
        except Exception as error:
            failed(sweep, member.number, error)
    for group in groups.values():
        pixels = max(stage.content.shape[1] * stage.content.shape[2] for stage in group[0].stages)
        size = batch_size(len(group), [most, most_jobs(pixels)])
        for start in range(0, len(group), size):
            _perform_batch(sweep, group[start : start + size], size)


def get_ready(member: Member) -> PreparedMember:
    """Reads what the member needs. Raises an InputError for anything that a user can mend."""
    prepared = prepare(member.config)
    return PreparedMember(member, prepared, plan(prepared.inputs, prepared.spec))


def batch_size(members: int, limits: Sequence[int | None]) -> int:
    """The size of the fewest batches of equal size that keep to the limits.

    Example:
        >>> batch_size(16, [None, 100]), batch_size(16, [10, None]), batch_size(5, [2, 3])
        (16, 8, 2)
    """
    most = min([members, *(limit for limit in limits if limit is not None)])
    return ceil(members / ceil(members / most))


class _Run(NamedTuple):
    """A member whose folder is claimed, until `held` is left, and whose steps can be made."""

    ready: PreparedMember
    held: ExitStack
    recorder: Recorder

    def procedure(self) -> JobSteps:
        """The member's job: see `nst_jax.job.job_steps`."""
        prepared = self.ready.prepared
        return job_steps(
            *(prepared.params, self.ready.stages, prepared.spec),
            init=prepared.inputs.init, observe=self.recorder, chunk_at=self.recorder.snapshot_at,
        )  # fmt: skip


class _Bar:
    """The progress of one member among several: only the first one moves the bar."""

    def __init__(self, bar: Progress, number: int, leads: bool) -> None:
        self._bar, self._number, self._leads = bar, number, leads

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        if self._leads:
            self._bar.update(step, metrics)

    def say(self, text: str) -> None:
        self._bar.say(f"member {self._number}: {text}")


def _perform_batch(sweep: SweepFolder, batch: Sequence[PreparedMember], size: int) -> None:
    first = batch[0].prepared
    began = time.perf_counter()
    what = [needs(first.params, stage, first.spec, size) for stage in batch[0].stages]
    steps = sum(scale.steps for scale in first.spec.scales)
    with progress(steps, quiet=first.config.run.quiet) as bar, compile_in_background(what) as programs:
        bar.say(f"members {', '.join(str(ready.member.number) for ready in batch)} together")
        runs = _claim_all(sweep, batch, bar)
        with interruptible(*(run.recorder for run in runs)):
            ends = run_batched([run.procedure() for run in runs], programs, size)
        compiling = sum(program.result().seconds for program in programs if program.done() and not program.cancelled())
    spent = {"compile": compiling, "total": time.perf_counter() - began}
    for run, end in zip(runs, ends, strict=True):
        _end(sweep, run, end, spent, len(runs))
    if any(isinstance(end, Result) and end.stopped for end in ends):
        raise KeyboardInterrupt  # and with it the sweep


def _claim_all(sweep: SweepFolder, batch: Sequence[PreparedMember], bar: Progress) -> list[_Run]:
    runs: list[_Run] = []
    for ready in batch:
        held, number = ExitStack(), ready.member.number
        try:
            folder = held.enter_context(new_run(ready.prepared))
        except InputError as error:
            failed(sweep, number, error)
        else:
            recorder = recorder_of(ready.prepared, folder, _Bar(bar, number, not runs))
            runs.append(_Run(ready, held, recorder))
    return runs


def _end(sweep: SweepFolder, run: _Run, end: Result | Exception, spent: Mapping[str, float], members: int) -> None:
    """Keeps what a member's run has given; of the seconds that all took together, its share."""
    member, prepared = run.ready.member, run.ready.prepared
    try:
        with run.held:
            if isinstance(end, Exception):
                raise end
            outcome = replace(end, seconds={name: passed / members for name, passed in {**end.seconds, **spent}.items()})
            if members > 1:
                prepared.begun["notices"].append(f"made together with {members - 1} others: the seconds are its share of all")
            write_record(prepared, run.recorder, Made(outcome))
    except Exception as error:
        failed(sweep, member.number, error)
    else:
        ended(sweep, member.number, member.config, run.recorder.folder, outcome)


def launch_batched(
    context: HydraContext, master: Any, overrides: Sequence[Sequence[str]], first: int, most: int | None
) -> list[JobReturn]:
    """What `hydra/launcher=batched` does: the members in as few programs as possible."""
    setup_globals()
    members = [compose_member(context, master, line, first + i) for i, line in enumerate(overrides)]
    use_compilation_cache()
    run_members(SweepFolder(Path(master.hydra.sweep.dir)), members, most)
    return [JobReturn(overrides=line, status=JobStatus.COMPLETED) for line in overrides]
