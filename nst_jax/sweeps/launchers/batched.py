"""Members of a sweep in one program, where they differ only in what is traced: weights, seeds, pictures of one size."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

from nst_jax.config.schema import Config
from nst_jax.job import Result, compile_key, job_steps, make_stages, run_jobs
from nst_jax.job.compile import Compiled, compile_in_background
from nst_jax.job.loop import JobSteps
from nst_jax.job.memory_plan import job_bytes, most_jobs
from nst_jax.job.pyramid import Stage
from nst_jax.partition import WHOLE
from nst_jax.runner.kinds import with_plans
from nst_jax.runner.prepare import Made, Prepared, prepare
from nst_jax.runner.run import new_run, recorder_of, write_record
from nst_jax.runs.callback import Recorder, interruptible
from nst_jax.runs.progress import Progress, progress
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.member import Member, ended, failed
from nst_jax.system.compilation_cache import use_compilation_cache


def run_members(sweep: SweepFolder, members: Sequence[Member], most: int | None) -> None:
    """Runs members in batches, each of them one program; every member leaves the same record as in a run of its own.

    Args:
        sweep: records how each member ends.
        members: any; those that cannot share a program go into different batches.
        most: members per batch; None for as many as fit in memory.
    """
    use_compilation_cache()
    groups: dict[Any, list[Member]] = defaultdict(list)
    for member in members:
        try:
            groups[program_key(member.config)].append(member)
        except Exception as error:
            failed(sweep, member.number, error)
    for (job_size, *_), group in groups.items():
        size = batch_size(len(group), [most, most_jobs(job_size)])
        for start in range(0, len(group), size):
            _run_batch(sweep, group[start : start + size], size)


def program_key(config: Config) -> tuple[Any, ...]:
    """The key that members share if they can share programs; first the memory that one of them takes.

    The pictures are read for their sizes, and again when the batch runs: all members' together may not fit in memory.
    """
    prepared = prepare(config)
    spec = replace(prepared.spec, plans=(WHOLE,) * len(prepared.spec.scales))  # whatever memory is free
    params, stages = prepared.params, make_stages(prepared.inputs, spec)
    size = max(job_bytes(spec, WHOLE, stage.height_width, regions=stage.regions) for stage in stages)
    return size, config.network.name, spec.scales, *(compile_key(params, stage, spec).key for stage in stages)


def batch_size(members: int, limits: Sequence[int | None]) -> int:
    """The size of batches when there are as few of them as the limits allow, all of equal size.

    Example:
        >>> batch_size(16, [None, 100]), batch_size(16, [10, None]), batch_size(5, [2, 3])
        (16, 8, 2)
    """
    most = min([members, *(limit for limit in limits if limit is not None)])
    return ceil(members / ceil(members / most))


class _Ready(NamedTuple):
    """A member whose pictures are read, and brought to the sizes of its scales."""

    member: Member
    prepared: Prepared
    stages: list[Stage]


class _Run(NamedTuple):
    """A member that is about to run; leaving `held` releases its folder."""

    member: Member
    prepared: Prepared
    held: ExitStack
    recorder: Recorder
    steps: JobSteps


class _MemberBar:
    """The progress of one member of a batch: only the first one moves the bar."""

    def __init__(self, bar: Progress, number: int, leads: bool) -> None:
        self._bar, self._number, self._leads = bar, number, leads

    def update(self, step: int, metrics: Mapping[str, Any]) -> None:
        if self._leads:
            self._bar.update(step, metrics)

    def say(self, text: str) -> None:
        self._bar.say(f"member {self._number}: {text}")


def _run_batch(sweep: SweepFolder, batch: Sequence[Member], size: int) -> None:
    ready = _prepare_all(sweep, batch)
    if not ready:
        return
    first = ready[0].prepared
    keys = [compile_key(first.params, stage, first.spec, size) for stage in ready[0].stages]
    numbers, several = ", ".join(str(one.member.number) for one in ready), len(ready) > 1
    steps = sum(scale.steps for scale in first.spec.scales)
    with progress(steps, quiet=first.config.run.quiet) as bar, compile_in_background(keys) as programs:
        bar.say(f"running members {numbers} together" if several else f"running member {numbers}")
        plans = [key.plan for key in keys]
        ready = [one._replace(prepared=with_plans(one.prepared, plans)) for one in ready]
        runs = _begin_all(sweep, ready, programs, bar)
        ready.clear()
        try:
            with interruptible(*(run.recorder for run in runs)):
                ends = run_jobs([run.steps for run in runs], size)
        except (Exception, KeyboardInterrupt) as error:  # of the program that they share
            ends = [error] * len(runs)
    for run, end in zip(runs, ends, strict=True):
        _end(sweep, run, end, len(runs) - 1)
    if any(isinstance(end, KeyboardInterrupt) or (isinstance(end, Result) and end.stopped) for end in ends):
        raise KeyboardInterrupt  # ends the sweep


def _prepare_all(sweep: SweepFolder, batch: Sequence[Member]) -> list[_Ready]:
    ready: list[_Ready] = []
    for member in batch:
        try:
            prepared = prepare(member.config)
            ready.append(_Ready(member, prepared, make_stages(prepared.inputs, prepared.spec)))
        except Exception as error:
            failed(sweep, member.number, error)
    return ready


def _begin_all(sweep: SweepFolder, batch: Sequence[_Ready], programs: Sequence[Future[Compiled]], bar: Progress) -> list[_Run]:
    """Creates the folders of the members, which share the lock of the sweep."""
    runs: list[_Run] = []
    for member, prepared, stages in batch:
        held = ExitStack()
        try:
            folder = held.enter_context(new_run(prepared, lock_of=sweep.path))
        except Exception as error:
            failed(sweep, member.number, error)
            continue
        recorder = recorder_of(prepared, folder, _MemberBar(bar, member.number, not runs))
        params, init, spec = prepared.params, prepared.inputs.init, prepared.spec
        steps = job_steps(params, stages, programs, spec, init=init, observe=recorder, chunk_at=recorder.snapshot_at)
        runs.append(_Run(member, prepared, held, recorder, steps))
    return runs


def _end(sweep: SweepFolder, run: _Run, end: Result | BaseException, others: int) -> None:
    """Writes what a member's run has given."""
    member, prepared = run.member, run.prepared
    try:
        with run.held:
            if isinstance(end, BaseException):
                raise end
            if others:
                prepared.begun["notices"].append(f"ran in one program with {others} other members: seconds are those of all")
            write_record(prepared, run.recorder, Made(end))
    except Exception as error:
        failed(sweep, member.number, error)
    except KeyboardInterrupt:
        sweep.note(member.number, "interrupted")
    else:
        ended(sweep, member.number, run.recorder.folder, end, quiet=member.config.run.quiet)
