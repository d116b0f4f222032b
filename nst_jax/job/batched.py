"""Several jobs with equal programs at once: their chunks of steps are one program, everything else runs one by one."""

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp

from nst_jax.job.compile import Compiled, Request
from nst_jax.job.history import Result

# What `nst_jax.job.job_steps` gives.
JobSteps = Generator[Request, Any, Result]


@jax.transfer_guard("allow")
def run_batched(procedures: Sequence[JobSteps], programs: Sequence[Future[Compiled]], size: int) -> list[Result | Exception]:
    """Serves the requests of several jobs: their chunks of steps in one program, everything else one by one.

    A job that is ahead, since it has stalled at a scale, waits at the next one for the others; unused slots are idle.

    Args:
        procedures: the jobs, at most `size`.
        programs: of each stage, compiled for `size` jobs.
        size: how many slots the programs have.

    Returns:
        The result of each job, or the exception that ended it; one of a program ends the jobs that shared that call.
    """
    ends: dict[int, Result | Exception] = {}
    waiting: dict[int, Request] = {}
    replies: dict[int, Any] = dict.fromkeys(range(len(procedures)))
    while replies or waiting:
        for i, reply in replies.items():
            end = _until_chunk(procedures[i], reply, programs)
            (waiting if isinstance(end, Request) else ends)[i] = end  # pyright: ignore[reportArgumentType]
        stage = min((call.stage for call in waiting.values()), default=0)
        calls = {i: waiting.pop(i) for i in list(waiting) if waiting[i].stage == stage}
        try:
            replies = dict(zip(calls, _chunks(programs[stage], list(calls.values()), size), strict=True)) if calls else {}
        except Exception as error:  # such as memory that is exhausted
            replies, ends = {}, ends | dict.fromkeys(calls, error)
    return [ends[i] for i in range(len(procedures))]


def _until_chunk(procedure: JobSteps, reply: Any, programs: Sequence[Future[Compiled]]) -> Request | Result | Exception:
    """Goes on with a job until it wants a chunk of steps, or ends."""
    try:
        call = procedure.send(reply)
        while call.program != "chunk":
            call = procedure.send(getattr(programs[call.stage].result().programs, call.program)(*call.arguments))
    except StopIteration as end:
        return end.value
    except Exception as error:
        return error
    return call


def _chunks(program: Future[Compiled], calls: Sequence[Request], size: int) -> Sequence[Any]:
    params, *_ = calls[0].arguments
    jobs = [call.arguments[1:] for call in calls]
    while len(jobs) < size:
        state, targets, weights, _ = jobs[0]
        jobs.append((jax.tree.map(jnp.copy, state), targets, weights, jnp.int32(0)))
    return program.result().programs.chunk(params, *zip(*jobs, strict=True))[: len(calls)]
