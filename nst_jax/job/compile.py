"""The compiled programs of a job: made in the background, in order, and cached for later jobs with equal keys."""

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
from nst_jax.partition import ExecutionPlan
from nst_jax.system.memory import trim_heap
from nst_jax.types import Params

# The largest number of steps in a chunk.
CAPACITY = 32


class Programs(NamedTuple):
    """The compiled programs of one scale.

    Attributes:
        targets: the objective's, of the parameters and the pictures.
        start: `init_state`, of the first image; at later scales `upsample_state`, of the last state and of detail.
        chunk: `run_chunk`, of the parameters, a state, targets, weights and a number of steps; `run_chunks` for several jobs.
        step_bytes: the temporary memory that the largest of them takes on each device, beside the arrays.
        devices: how many they run on.
    """

    targets: Callable[..., Any]
    start: Callable[..., State]
    chunk: "_Program"
    step_bytes: int
    devices: int


class Compiled(NamedTuple):
    """Programs, and the seconds that were spent on compiling them: 0 when they were there already."""

    programs: Programs
    seconds: float


class CompileKey(NamedTuple):
    """The key of a stage's programs: the loss, how it is executed, the solver, and the shapes of the arrays.

    Attributes:
        objective: the structure of the loss.
        plan: how it is executed.
        solver: how the loss is minimized.
        before: height and width of the image at the scale before, if there is one.
        arrays: params, the pictures that the targets are made of (the content first), and the weights; or their shapes.
        jobs: how many jobs make their steps together; 0 for one alone.
        repeatable: see `JobSpec`.
    """

    objective: Objective
    plan: ExecutionPlan
    solver: SolverSpec
    before: tuple[int, int] | None
    arrays: tuple[Params, tuple[Any, ...], Any]
    jobs: int = 0
    repeatable: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal programs; can be hashed."""
        leaves, structure = jax.tree.flatten(jax.tree.map(_shape, self.arrays))
        return self.objective, self.plan, self.solver, self.before, structure, tuple(leaves), self.jobs, self.repeatable


@contextmanager
def compile_in_background(stages: Sequence[CompileKey]) -> Iterator[list["Future[Compiled]"]]:
    """Compiles the programs of all stages in the background, in order; those not begun at the end are cancelled."""
    check_jit()
    compiler = ThreadPoolExecutor(1)
    try:
        yield [compiler.submit(compile_programs, key) for key in stages]
    finally:
        compiler.shutdown(wait=False, cancel_futures=True)


@jax.transfer_guard("allow")
def compile_programs(stage: CompileKey) -> Compiled:
    """The programs of a stage: compiled, or those of an earlier stage with an equal key."""
    began, known = time.perf_counter(), _compile.cache_info().misses
    programs = _compile(*stage.key)
    return Compiled(programs, time.perf_counter() - began if _compile.cache_info().misses > known else 0.0)


@functools.lru_cache(maxsize=32)
def _compile(
    objective: Objective,
    plan: ExecutionPlan,
    solver: SolverSpec,
    before: tuple[int, int] | None,
    structure: Any,
    leaves: tuple[Any, ...],
    jobs: int,
    repeatable: bool,
) -> Programs:
    params, (content, *others), weights = jax.tree.unflatten(structure, leaves)

    def placed(tree: Any, size: tuple[int, int] = content.shape[1:3]) -> Any:
        return tree if plan.devices == 1 else with_sharding(tree, sharding_for(tree, size, plan.devices))

    def state_at(size: tuple[int, int]) -> Any:
        image = jax.ShapeDtypeStruct((1, *size, 3), content.dtype)
        return placed(jax.tree.map(_shape, init_state.eval_shape(image, solver=solver, terms=objective.terms)), size)

    params, content, others, weights, count = placed((params, content, others, weights, _shape(jnp.int32(0))))
    make = functools.partial(_Program, repeatable=repeatable)
    targets = make(
        functools.partial(objective.targets, plan=plan), (params, content, *others), key=("targets", objective, plan)
    )
    state = state_at(content.shape[1:3])
    if before:
        start = make(functools.partial(upsample_state, solver=solver), (state_at(before), content), state)
    else:
        start = make(functools.partial(init_state, solver=solver, terms=objective.terms), (content,), state)
    options = {"spec": objective, "solver": solver, "capacity": CAPACITY, "plan": plan}
    arguments, results = (state, targets.result, weights, count), (state, count, count)
    if jobs:
        arguments, results = tuple((argument,) * jobs for argument in arguments), (results,) * jobs
    chunk = make(
        functools.partial(run_chunks if jobs else run_chunk, **options),
        (params, *arguments),
        results,
        key=("chunk", *options.values(), jobs),
        donate=(1,),
    )
    temporary = max(program.temporary_bytes for program in (targets, start, chunk))
    return Programs(targets, start, chunk, temporary, plan.devices)


class _Program:
    """A compiled program; one for several devices brings its arguments to where it wants them.

    Attributes:
        result: the shapes of what it returns, and where that lies.
        temporary_bytes: the memory that it takes on each device, beside its arrays.
    """

    def __init__(
        self,
        function: Any,
        arguments: Any,
        result: Any = None,
        *,
        key: Any = None,
        donate: tuple[int, ...] = (),
        repeatable: bool = False,
    ) -> None:
        """Compiles `function`.

        Args:
            function: of arrays.
            arguments: their shapes, and where they lie; on one device that is nowhere.
            result: likewise, or a prefix of it; None is anywhere.
            key: what decides the function, to keep the traced program of one device: see `lower_cached`.
            donate: the arguments whose memory the result may take.
            repeatable: see `JobSpec`.
        """
        self._places = _places(arguments)
        several = bool(jax.tree.leaves(self._places))
        jitted = jax.jit(function, donate_argnums=donate, out_shardings=_places(result) if several else None)
        lowered = lower_cached(jitted, key, *arguments, donate=donate) if key and not several else jitted.lower(*arguments)
        self._compiled = lowered.compile({"xla_gpu_deterministic_ops": True} if repeatable else None)
        found = jax.tree.map(_shape, lowered.out_info)
        self.result = with_sharding(found, self._compiled.output_shardings) if several else found
        self.temporary_bytes: int = self._compiled.memory_analysis().temp_size_in_bytes  # pyright: ignore[reportOptionalMemberAccess]
        self._call = self._call_on_several if several else self._compiled
        trim_heap()  # of what compiling took

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def as_text(self) -> str:
        """The compiled program as XLA writes it, with the names that JAX gave to the operations."""
        return self._compiled.as_text() or ""

    def _call_on_several(self, *arguments: Any) -> Any:
        # Waits: what two programs at once send to other processes would arrive in any order.
        placed = jax.block_until_ready(place(arguments, self._places))
        return jax.block_until_ready(self._compiled(*placed))


def _places(tree: Any) -> Any:
    """The shardings of the arrays of a tree; None for each on one device."""
    return jax.tree.map(lambda array: array.sharding, tree)


def _shape(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
