"""The job: pictures and a description in, one picture out. The one place that knows the order of the steps."""

import functools
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from nst_jax.distributed import broadcast_int
from nst_jax.job.compile import Compiled, CompileKey, Programs, compile_in_background, compile_programs
from nst_jax.job.history import Callback, History, JobState, Result, painted
from nst_jax.job.memory_plan import check_memory, choose_plan
from nst_jax.job.pyramid import Stage, check_pictures, initial_image, make_stages
from nst_jax.job.spec import Inputs, JobSpec
from nst_jax.optimize.loop import Metrics, State, init_state
from nst_jax.types import Params, Pixels

# A scale has diverged if its last loss is more than this times its first.
DIVERGENCE_FACTOR = 2


class Chunk(NamedTuple):
    """A job's request for steps: `program(params, state, targets, weights, num_steps)`, or one call for several jobs.

    Attributes:
        stage: number of the scale; jobs at the same scale may share a call.
        program: `run_chunk`, or `run_chunks` if it is compiled for several jobs.
        params: of the network.
        state: of the solver; donated.
        targets: of the loss.
        weights: of its terms.
        num_steps: at most so many.
    """

    stage: int
    program: Callable[..., Any]
    params: Params
    state: State
    targets: Any
    weights: Any
    num_steps: Int[Array, ""]


# The state after a chunk, the metrics of its steps, and their number.
Steps = tuple[State, Metrics, Int[Array, ""]]
# A job between two chunks: it yields each request, and is sent the steps.
JobSteps = Generator[Chunk, Steps, Result]


@jax.transfer_guard("allow")  # whatever JAX_TRANSFER_GUARD says: these are meant
def transfer(
    params: Params,
    inputs: Inputs,
    spec: JobSpec,
    *,
    observe: Callback = lambda report: False,
    chunk_at: Sequence[int] = (),
    resume: JobState | None = None,
) -> Result:
    """Runs the optimization from coarse to fine.

    The programs of all scales are compiled in the background, in order, while the first scales already run.

    Args:
        params: the network's, as `nst_jax.networks.load` gives them.
        inputs: the pictures.
        spec: everything else.
        observe: called after each chunk.
        chunk_at: steps over all scales, in order, at which a chunk ends, because the observer wants to look there.
        resume: where to continue, as an earlier `StepInfo.position` of the same job gave it; None is the beginning.

    Raises:
        InputError: a picture too narrow for one of the scales, or too large for the memory that is free.
    """
    check_pictures(inputs, spec)
    stages = make_stages(inputs, spec)[resume.stage if resume else 0 :]
    with compile_in_background([compile_key(params, stage, spec) for stage in stages]) as programs:
        options = {"init": inputs.init, "observe": observe, "chunk_at": chunk_at, "resume": resume}
        (end,) = run_jobs([job_steps(params, stages, programs, spec, **options)])
    if isinstance(end, Exception):
        raise end
    return end


def compile_key(params: Params, stage: Stage, spec: JobSpec, jobs: int = 0) -> CompileKey:
    """The key of a stage's programs, for one job alone or for several that are stepped together."""
    plan = spec.plans[stage.number] if spec.plans else choose_plan(spec, stage.height_width, regions=stage.regions, jobs=jobs)
    pictures = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, jnp.float32), stage.pictures)
    arrays = (params, pictures, _weights(spec))
    return CompileKey(spec.objective, plan, spec.solver, stage.before, arrays, jobs, spec.repeatable)


def compile_ahead(params: Params, inputs: Inputs, spec: JobSpec, wanted: Callable[[], bool] = lambda: True) -> None:
    """Compiles the programs of a job, scale by scale, as long as they are `wanted`; kept on disk, later runs load them."""
    for stage in make_stages(inputs, spec):
        if not wanted():
            return
        compile_programs(compile_key(params, stage, spec))


def state_shapes(stage: Stage, spec: JobSpec) -> State:
    """A state of the solver in a stage: its structure, with shapes and types for arrays."""
    return init_state.eval_shape(
        jax.ShapeDtypeStruct(stage.content.shape, jnp.float32), solver=spec.solver, terms=spec.objective.terms
    )


def job_steps(
    params: Params,
    stages: Sequence[Stage],
    programs: Sequence[Future[Compiled]],
    spec: JobSpec,
    *,
    init: Pixels | None = None,
    observe: Callback = lambda report: False,
    chunk_at: Sequence[int] = (),
    resume: JobState | None = None,
) -> JobSteps:
    """One job, for `run_jobs`. The arguments are those of `transfer`, with the programs of each stage."""
    weights, history = _weights(spec), History(observe, chunk_at, resume)
    before: JobState | State | Pixels = resume or initial_image(stages[0], spec, init)
    stage = stages[0]
    for stage, future in zip(stages, programs, strict=True):
        compiled = future.result()
        history.compile_seconds += compiled.seconds
        check_memory(compiled.programs.step_bytes, stage.scale.size, compiled.programs.devices)
        before = yield from _run_stage(params, stage, compiled.programs, before, weights, history)
        if history.stopped:
            break
    assert isinstance(before, State)
    seconds = {"compile": history.compile_seconds} | history.seconds()
    return Result(painted(before, stage), history.rows, seconds, history.recoveries, history.stopped)


def _run_stage(
    params: Params, stage: Stage, programs: Programs, before: JobState | State | Pixels, weights: Any, history: History
) -> Generator[Chunk, Steps, State]:
    """The steps of a stage, from a position in it, the state that the stage before ended in, or the first image."""
    targets = programs.targets(params, *jax.device_put(stage.pictures))
    left = stage.scale.steps
    if isinstance(before, JobState):
        state, left = jax.tree.map(jnp.array, before.state), before.left
    elif isinstance(before, State):
        state = programs.start(before, jnp.asarray(stage.detail))
    else:
        state = programs.start(jnp.asarray(before))
    request = functools.partial(Chunk, stage.number, programs.chunk, params, targets=targets, weights=weights)
    recoveries, seconds_per_step = int(state.recoveries), None
    while left and not history.stopped:
        length = broadcast_int(history.chunk_length(left, seconds_per_step))
        began = time.perf_counter()
        state, metrics, count = yield request(state=state, num_steps=jnp.int32(length))
        made = int(count)
        seconds = time.perf_counter() - began
        seconds_per_step = seconds / max(made, 1)
        history.step_seconds += seconds
        left = 0 if bool(state.stalled) else left - made
        messages = _messages(state, recoveries, history.step + made, ended=not left)
        recoveries = int(state.recoveries)
        history.record(stage, left, metrics, made, messages, state)
    return state


def _weights(spec: JobSpec) -> Any:
    return jax.tree.map(jnp.float32, spec.loss_weights)


def _messages(state: State, recoveries: int, step: int, ended: bool) -> list[str]:
    """Messages about a chunk that ends at `step`, and perhaps the scale with it."""
    messages = []
    if int(state.recoveries) > recoveries:
        messages.append(f"by step {step} a step had no descent: went on from the last good image with fresh memory")
    if bool(state.stalled):
        messages.append(f"by step {step} no step lowers the loss any more: this scale ends here")
    first, last = float(state.first_loss), float(state.loss)
    if ended and last > DIVERGENCE_FACTOR * first:
        messages.append(f"by step {step} the loss was {last:.3g}, above the {first:.3g} of the first step: use a smaller rate")
    return messages


@jax.transfer_guard("allow")
def run_jobs(jobs: Sequence[JobSteps], size: int = 0) -> list[Result | Exception]:
    """Runs one job, or several: their chunks of steps are calls of one program, everything else runs one by one.

    A job that is ahead, since it has stalled at a scale, waits at the next one for the others; unused slots are idle.

    Args:
        jobs: at most `size`, or one.
        size: how many jobs the programs are compiled for; 0 for one alone.

    Returns:
        The result of each job, or the exception that ended it; one of a program ends the jobs that shared that call.
    """
    ends: dict[int, Result | Exception] = {}
    waiting: dict[int, Chunk] = {}
    replies: dict[int, Any] = dict.fromkeys(range(len(jobs)))
    while replies or waiting:
        for i, reply in replies.items():
            try:
                waiting[i] = jobs[i].send(reply)
            except StopIteration as end:
                ends[i] = end.value
            except Exception as error:
                ends[i] = error
        replies = _make_steps(waiting, size, ends)
    return [ends[i] for i in range(len(jobs))]


def _make_steps(waiting: dict[int, Chunk], size: int, ends: dict[int, Result | Exception]) -> dict[int, Steps]:
    """Serves the requests of the coarsest stage, by job, and removes them; a failure goes to `ends`."""
    stage = min((chunk.stage for chunk in waiting.values()), default=0)
    chunks = {i: waiting.pop(i) for i in list(waiting) if waiting[i].stage == stage}
    try:
        return dict(zip(chunks, _call(list(chunks.values()), size), strict=True)) if chunks else {}
    except Exception as error:  # such as memory that is exhausted
        ends |= dict.fromkeys(chunks, error)
        return {}


def _call(chunks: Sequence[Chunk], size: int) -> Sequence[Steps]:
    first = chunks[0]
    arguments = [chunk[3:] for chunk in chunks]
    if not size:
        return [first.program(first.params, *arguments[0])]
    while len(arguments) < size:
        arguments.append((jax.tree.map(jnp.copy, first.state), first.targets, first.weights, jnp.int32(0)))
    return first.program(first.params, *zip(*arguments, strict=True))[: len(chunks)]
