"""Inversion from one start of noise, or from several in one program."""

import time
from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Float

from nst_jax import job
from nst_jax.invert.representation import mean_color
from nst_jax.job.batched import run_batched
from nst_jax.job.compile import compile_in_background
from nst_jax.objective.natural_image import RMS
from nst_jax.types import Params


def invert(
    params: Params, content: job.Pixels, spec: job.JobSpec, restarts: int, observe: job.Callback, chunk_at: Sequence[int] = ()
) -> list[job.Result]:
    """Inverts the code of `content` from so many starts of noise, which are stepped together.

    Args:
        params: of the network; {} for a descriptor.
        content: the picture, at its size.
        spec: of each inversion.
        restarts: how many.
        observe: told of the first while all run, of the others at the end; one restart is recorded after the other, as the
            scales of a transfer are.
        chunk_at: see `nst_jax.job.transfer`; of a single start.
    """
    starts = noise(spec.seed, content.shape, mean_color(params), restarts, gray=not spec.objective.taps)
    if restarts == 1:
        return [job.transfer(params, job.Inputs(content, (), starts[0]), spec, observe=observe, chunk_at=chunk_at)]
    lead = _Lead(observe, restarts)
    began, stages = time.perf_counter(), job.plan(job.Inputs(content, ()), spec)
    with compile_in_background([job.needs(params, stages[0], spec, restarts)]) as programs:
        observers = [lead, *(restarts - 1) * [lambda report: lead.stopped]]
        procedures = [
            job.job_steps(params, stages, spec, init=start, observe=one)
            for start, one in zip(starts, observers, strict=True)
        ]  # fmt: skip
        ends = run_batched(procedures, programs, restarts)
        spent = {"compile": programs[0].result().seconds, "total": time.perf_counter() - began}
    outcomes: list[job.Result] = []
    for restart, end in enumerate(ends):
        if isinstance(end, Exception):
            raise end
        shares = {name: seconds / restarts for name, seconds in {**end.seconds, **spent}.items()}
        outcomes.append(replace(end, seconds=shares))
        if restart:
            observe(_whole(restart, end, spec.scales[0].steps))
    return outcomes


class _Lead:
    """The observer of the first restart, which speaks for all."""

    def __init__(self, observe: job.Callback, restarts: int) -> None:
        self._observe, self._restarts, self.stopped = observe, restarts, False

    def __call__(self, report: job.StepInfo) -> bool:
        self.stopped = self._observe(report._replace(step=report.step * self._restarts))
        return self.stopped


def _whole(restart: int, outcome: job.Result, steps: int) -> job.StepInfo:
    """What is told of a restart after its end."""
    rows = [row | {"step": restart * steps + row["step"], "scale": restart} for row in outcome.rows]

    def position() -> job.JobState:
        raise ValueError("an inversion that has ended has no position")

    return job.StepInfo((restart + 1) * steps, rows, outcome.recoveries, lambda: outcome.pixels, True, position)


def noise(
    seed: int, shape: tuple[int, ...], mean: Float[jax.Array, " 3"], restarts: int, *, gray: bool = False
) -> list[job.Pixels]:
    """Starts of an inversion: normal noise around the mean color, as far from it as a natural picture is (norm σ)."""
    keys = jax.random.split(jax.random.key(seed), restarts)
    drawn = [np.asarray(jax.random.normal(key, (*shape[:3], 1 if gray else 3))) for key in keys]
    return [np.asarray(mean) + x * np.float32(RMS / 255 / np.sqrt(np.mean(x**2))) for x in drawn]
