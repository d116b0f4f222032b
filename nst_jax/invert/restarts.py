"""Inversion from one start of noise, or from several that are stepped together in one program."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Float

from nst_jax import job
from nst_jax.invert.representation import mean_color
from nst_jax.job.compile import compile_in_background
from nst_jax.objective.natural_image import RMS
from nst_jax.types import Params, Pixels


def invert(
    params: Params,
    content: Pixels,
    spec: job.JobSpec,
    restarts: int,
    observe: job.Callback,
    chunk_at: Sequence[int] = (),
    resume: job.JobState | None = None,
) -> list[job.Result]:
    """Inverts the code of `content` from `restarts` starts of noise.

    Args:
        params: of the network; {} for a descriptor.
        content: the picture, at its size.
        spec: of each inversion.
        restarts: how many.
        observe: called after each chunk of steps.
        chunk_at: see `nst_jax.job.transfer`; of a single start.
        resume: where to continue.
    """
    starts = noise(spec.seed, content.shape, mean_color(params), restarts, gray=not spec.objective.taps)
    if restarts == 1:
        inputs = job.Inputs(content, (), starts[0])
        return [job.transfer(params, inputs, spec, observe=observe, chunk_at=chunk_at, resume=resume)]
    group, stages = _Group(observe, spec.scales[0].steps, restarts, resume), job.make_stages(job.Inputs(content, ()), spec)
    with compile_in_background([job.compile_key(params, stages[0], spec, restarts)]) as programs:
        jobs = [
            job.job_steps(params, stages, programs, spec, init=start, observe=group.callback(i), resume=group.position(i))
            for i, start in enumerate(starts)
        ]
        ends = job.run_jobs(jobs, restarts)
    results: list[job.Result] = []
    for end, rows in zip(ends, group.rows, strict=True):
        if isinstance(end, Exception):
            raise end
        results.append(replace(end, rows=rows, recoveries=group.recoveries))
    return results


class _Group:
    """The common callback of restarts that are stepped together: reports them as one job.

    The rows of the first restart are reported as they come, those of the others at the end, as if one followed the other.

    Attributes:
        rows: of each restart.
        recoveries: of all.
    """

    def __init__(self, observe: job.Callback, steps: int, restarts: int, resume: job.JobState | None) -> None:
        self.rows = [list(rows) for rows in resume.rows] if resume else [[] for _ in range(restarts)]
        self.recoveries = list(resume.recoveries) if resume else []
        self._observe, self._steps, self._resume = observe, steps, resume
        self._infos: dict[int, job.StepInfo] = {}
        self._running = {i for i in range(restarts) if self._left(i)}
        self._messages: list[str] = []
        self._reported, self._stopped = len(self.rows[0]), False

    def _left(self, i: int) -> int:
        stalled = self._resume is not None and bool(self._resume.state[i].stalled)
        return 0 if stalled else self._steps - len(self.rows[i])

    def position(self, i: int) -> job.JobState | None:
        """The state from which a restart continues."""
        if self._resume is None:
            return None
        return job.JobState(0, self._left(i), len(self.rows[i]), self._resume.seconds, (), self._resume.state[i])

    def callback(self, i: int) -> job.Callback:
        """That of one restart; the last one of a round reports for all."""

        def observed(info: job.StepInfo) -> bool:
            self.rows[i] += info.rows
            self._infos[i] = info
            self._messages += [f"restart {i + 1}: {message}" for message in info.messages]
            if info.last:
                self._running.discard(i)
            if not self._stopped and not any(other > i for other in self._running):
                self._stopped = self._report()
            return self._stopped

        return observed

    def _report(self) -> bool:
        rows, messages, ended = self.rows[0][self._reported :], self._messages, not self._running
        if ended:
            others = list(enumerate(self.rows))[1:]
            rows += [row | {"step": i * self._steps + row["step"], "scale": i} for i, own in others for row in own]
        self._reported, self._messages = len(self.rows[0]), []
        self.recoveries += messages
        made, pixels = sum(map(len, self.rows)), self._infos[min(self._infos)].pixels
        return self._observe(job.StepInfo(made, rows, messages, pixels, ended, self._joint_position))

    def _joint_position(self) -> job.JobState:
        before = self._resume.state if self._resume else [None] * len(self.rows)
        own = {i: info.position() for i, info in self._infos.items()}
        states = tuple(own[i].state if i in own else before[i] for i in range(len(self.rows)))
        seconds, rows = own[max(own)].seconds, [[*rows] for rows in self.rows]
        return job.JobState(0, 0, sum(map(len, rows)), seconds, tuple(self.recoveries), states, rows)


def noise(
    seed: int, shape: tuple[int, ...], mean: Float[jax.Array, " 3"], restarts: int, *, gray: bool = False
) -> list[Pixels]:
    """Starts of an inversion: normal noise around the mean color, as far from it as a natural picture is (norm σ)."""
    keys = jax.random.split(jax.random.key(seed), restarts)
    drawn = [np.asarray(jax.random.normal(key, (*shape[:3], 1 if gray else 3))) for key in keys]
    return [np.asarray(mean) + x * np.float32(RMS / 255 / np.sqrt(np.mean(x**2))) for x in drawn]
