"""The compiled programs of a job: made in the background, in order, and kept for later jobs that need the same ones."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nst_jax.memory import give_back
from nst_jax.objective.objective import Objective
from nst_jax.optimize.loop import carry_state, init_state, run_chunk, run_chunks
from nst_jax.optimize.solvers import SolverSpec, State
from nst_jax.traced import lower
from nst_jax.types import Params

# A chunk holds at most so many steps.
CAPACITY = 32


class Programs(NamedTuple):
    """The compiled programs of one scale.

    Attributes:
        targets: the objective's, of the parameters and the pictures.
        start: `init_state`, of the first image; at later scales `carry_state`, of the state of the scale before and of detail.
        chunk: `run_chunk`, of the parameters, a state, targets, weights and a number of steps.
    """

    targets: Callable[..., Any]
    start: Callable[..., State]
    chunk: Callable[..., Any]


class Compiled(NamedTuple):
    """Programs, and the seconds that were spent on compiling them: 0 when they were there already."""

    programs: Programs
    seconds: float


class Call(NamedTuple):
    """What a job asks for: one of the programs of a stage to be called with these arguments."""

    program: str
    stage: int
    arguments: tuple[Any, ...]


class Needs(NamedTuple):
    """What decides the programs of one stage: the structure of the loss, the solver, and the shapes of the arrays.

    Attributes:
        objective: with "auto" replaced (see `nst_jax.memory.fit`).
        solver: how the loss is minimized.
        before: height and width of the image at the scale before, if there is one.
        arrays: params, the pictures that the targets are made of (the content first), and the weights; or their shapes.
        jobs: how many jobs make their steps together; 0 for one alone.
    """

    objective: Objective
    solver: SolverSpec
    before: tuple[int, int] | None
    arrays: tuple[Params, tuple[Any, ...], Any]
    jobs: int = 0

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal programs; can be hashed."""
        leaves, structure = jax.tree.flatten(jax.tree.map(_shape, self.arrays))
        return self.objective, self.solver, self.before, structure, tuple(leaves), self.jobs


@contextmanager
def compile_ahead(stages: Sequence[Needs]) -> Iterator[list["Future[Compiled]"]]:
    """The programs of all stages, compiled one after the other in the background; what has not begun is dropped at the end."""
    compiler = ThreadPoolExecutor(1)
    try:
        yield [compiler.submit(compile_programs, needs) for needs in stages]
    finally:
        compiler.shutdown(wait=False, cancel_futures=True)


def compile_programs(needs: Needs) -> Compiled:
    """The programs of a stage: compiled, or those of an earlier stage with equal needs."""
    began, known = time.perf_counter(), _compile.cache_info().misses
    programs = _compile(*needs.key)
    return Compiled(programs, time.perf_counter() - began if _compile.cache_info().misses > known else 0.0)


@functools.lru_cache(maxsize=32)
def _compile(
    objective: Objective,
    solver: SolverSpec,
    before: tuple[int, int] | None,
    structure: Any,
    leaves: tuple[Any, ...],
    jobs: int,
) -> Programs:
    params, pictures, weights = jax.tree.unflatten(structure, leaves)
    targets = lower(jax.jit(objective.targets), ("targets", objective), params, *pictures)
    image = pictures[0]
    start: Any = init_state.lower(image, solver=solver)
    if before:
        smaller = jax.ShapeDtypeStruct((1, *before, 3), image.dtype)
        state = init_state.eval_shape(smaller, solver=solver)
        start = carry_state.lower(state, image, solver=solver)
    arguments = (*jax.tree.map(_shape, (start.out_info, targets.out_info)), weights, jnp.int32(0))
    several = [(argument,) * jobs for argument in arguments] if jobs else arguments
    chunk_fn = functools.partial(run_chunks if jobs else run_chunk, spec=objective, solver=solver, capacity=CAPACITY)
    chunk = lower(jax.jit(chunk_fn), ("chunk", objective, solver, CAPACITY, jobs), params, *several, donate=1)
    programs = Programs(targets.compile(), start.compile(), chunk.compile())
    give_back()
    return programs


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
