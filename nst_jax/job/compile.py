"""The compiled programs of a job: made in the background, in order, and kept for later jobs that need the same ones."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nst_jax.distributed import check_jit, place, sharding_for, with_sharding
from nst_jax.job.export_cache import lower_cached
from nst_jax.objective.loss import Objective
from nst_jax.optimize.loop import State, init_state, run_chunk, run_chunks, upsample_state
from nst_jax.optimize.solver import SolverSpec
from nst_jax.system.memory import trim_heap
from nst_jax.types import Params

# A chunk holds at most so many steps.
CAPACITY = 32


class Programs(NamedTuple):
    """The compiled programs of one scale.

    Attributes:
        targets: the objective's, of the parameters and the pictures.
        start: `init_state`, of the first image; at later scales `upsample_state`, of the last state and of detail.
        chunk: `run_chunk`, of the parameters, a state, targets, weights and a number of steps.
        step_bytes: the temporary memory that the largest of them takes on each device, beside the arrays.
    """

    targets: Callable[..., Any]
    start: Callable[..., State]
    chunk: Callable[..., Any]
    step_bytes: int


class Compiled(NamedTuple):
    """Programs, and the seconds that were spent on compiling them: 0 when they were there already."""

    programs: Programs
    seconds: float


class Request(NamedTuple):
    """What a job asks for: one of the programs of a stage to be called with these arguments."""

    program: str
    stage: int
    arguments: tuple[Any, ...]


class CompileKey(NamedTuple):
    """What decides the programs of one stage: the structure of the loss, the solver, and the shapes of the arrays.

    Attributes:
        objective: with "auto" replaced (see `nst_jax.job.memory_plan.choose_plan`).
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
def compile_in_background(stages: Sequence[CompileKey]) -> Iterator[list["Future[Compiled]"]]:
    """The programs of all stages, compiled one after the other in the background; what has not begun is dropped at the end."""
    check_jit()
    compiler = ThreadPoolExecutor(1)
    try:
        yield [compiler.submit(compile_programs, needs) for needs in stages]
    finally:
        compiler.shutdown(wait=False, cancel_futures=True)


@jax.transfer_guard("allow")
def compile_programs(needs: CompileKey) -> Compiled:
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
    if int(objective.devices) > 1:
        return _compile_for_devices(objective, solver, before, params, pictures, weights)
    targets = lower_cached(jax.jit(objective.targets), ("targets", objective), params, *pictures)
    image = pictures[0]
    start: Any = init_state.lower(image, solver=solver, terms=objective.terms)
    if before:
        start = upsample_state.lower(
            _state(jax.ShapeDtypeStruct((1, *before, 3), image.dtype), solver, objective), image, solver=solver
        )
    arguments = (*jax.tree.map(_shape, (start.out_info, targets.out_info)), weights, jnp.int32(0))
    several = [(argument,) * jobs for argument in arguments] if jobs else arguments
    chunk_fn = functools.partial(run_chunks if jobs else run_chunk, spec=objective, solver=solver, capacity=CAPACITY)
    chunk = lower_cached(jax.jit(chunk_fn), ("chunk", objective, solver, CAPACITY, jobs), params, *several, donate=1)
    return _programs(targets.compile(), start.compile(), chunk.compile())


def _compile_for_devices(
    objective: Objective, solver: SolverSpec, before: tuple[int, int] | None, params: Any, pictures: Any, weights: Any
) -> Programs:
    """The programs of a stage whose work several devices share."""
    size = pictures[0].shape[1:3]

    def placed(tree: Any, size: tuple[int, int] = size) -> Any:
        return with_sharding(tree, sharding_for(tree, size, int(objective.devices)))

    params, pictures, weights, count = placed((params, pictures, weights, _shape(jnp.int32(0))))
    targets = _ForDevices(objective.targets, (params, *pictures))
    state = placed(_state(pictures[0], solver, objective))
    places = jax.tree.map(lambda array: array.sharding, state)
    if before:
        smaller = placed(_state(jax.ShapeDtypeStruct((1, *before, 3), jnp.float32), solver, objective), before)
        start = _ForDevices(functools.partial(upsample_state, solver=solver), (smaller, pictures[0]), places)
    else:
        start = _ForDevices(functools.partial(init_state, solver=solver, terms=objective.terms), (pictures[0],), places)
    chunk_fn = functools.partial(run_chunk, spec=objective, solver=solver, capacity=CAPACITY)
    arguments = (params, state, targets.out, weights, count)
    chunk = _ForDevices(chunk_fn, arguments, (places, count.sharding, count.sharding), donate=1)
    return _programs(targets.compiled, start.compiled, chunk.compiled, calls=(targets, start, chunk))


class _ForDevices:
    """A program for several devices, which brings its arguments to where it wants them."""

    def __init__(self, function: Any, arguments: Any, places: Any = None, donate: int | None = None) -> None:
        """Of `function`, for arrays as `arguments` says, whose results lie at `places`; None is anywhere."""
        jitted = jax.jit(function, out_shardings=places, donate_argnums=() if donate is None else donate)
        lowered = jitted.lower(*arguments)
        self._wanted = jax.tree.map(lambda array: array.sharding, arguments)
        self.compiled = lowered.compile()
        self.out = with_sharding(lowered.out_info, self.compiled.output_shardings)

    def __call__(self, *arguments: Any) -> Any:
        # Waits: what two programs at once send to other processes would arrive in any order.
        placed = jax.block_until_ready(place(arguments, self._wanted))
        return jax.block_until_ready(self.compiled(*placed))


def _programs(*compiled: Any, calls: Sequence[Callable[..., Any]] = ()) -> Programs:
    trim_heap()
    temporary = max(program.memory_analysis().temp_size_in_bytes for program in compiled)
    return Programs(*(calls or compiled), step_bytes=temporary)


def _state(image: Any, solver: SolverSpec, objective: Objective) -> Any:
    return init_state.eval_shape(image, solver=solver, terms=objective.terms)


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
