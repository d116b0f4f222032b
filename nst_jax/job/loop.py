"""The job: pictures and a description in, one picture out. The one place that knows the order of the steps."""

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from nst_jax.distributed import broadcast_int
from nst_jax.job.compile import CompileKey, Request, compile_in_background
from nst_jax.job.history import Callback, History, JobState, Result, painted
from nst_jax.job.memory_plan import check_memory, choose_plan, planned
from nst_jax.job.pyramid import Stage, check_pictures, initial_image, plan
from nst_jax.job.spec import Inputs, JobSpec, Pixels
from nst_jax.objective.loss import Objective
from nst_jax.optimize.loop import State, init_state
from nst_jax.types import Params

# A scale that ends at a loss so many times that of its first step has diverged.
DIVERGENCE_FACTOR = 2


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
        resume: where to go on, as an earlier `Report.position` of the same job gave it; None is the beginning.

    Raises:
        InputError: a picture too narrow for one of the scales, or too large for the memory that is free.
    """
    check_pictures(inputs, spec)
    stages = plan(inputs, spec)[resume.stage if resume else 0 :]
    compile_seconds, reply = 0.0, None
    procedure = job_steps(params, stages, spec, init=inputs.init, observe=observe, chunk_at=chunk_at, resume=resume)
    wanted = [needs(params, stage, spec) for stage in stages]
    with compile_in_background(wanted) as pending:
        try:
            while True:
                call = procedure.send(reply)
                index = call.stage - stages[0].number
                compiled = pending[index].result()
                if call.program == "targets":
                    devices = int(wanted[index].objective.devices)
                    check_memory(compiled.programs.step_bytes, stages[index].scale.size, devices)
                reply = getattr(compiled.programs, call.program)(*call.arguments)
                compile_seconds += compiled.seconds if call.program == "targets" else 0.0
        except StopIteration as end:
            outcome: Result = end.value
    return replace(outcome, seconds={"compile": compile_seconds} | outcome.seconds)


def choose_for(spec: JobSpec, height_width: tuple[int, int], regions: int, jobs: int = 0) -> Objective:
    """The objective of a scale with each "auto" replaced: see `nst_jax.job.memory_plan.choose_plan`."""
    pairs = dict(spec.solver.options).get("memory", 10)
    return choose_plan(spec.objective, height_width, jobs, regions=regions, pairs=pairs)


def needs(params: Params, stage: Stage, spec: JobSpec, jobs: int = 0) -> CompileKey:
    """What decides the programs of a stage, of one job alone or of several together."""
    height_width, regions = (stage.content.shape[1], stage.content.shape[2]), stage.styles.regions
    if spec.plan:
        objective = planned(spec.objective, spec.plan[stage.number])
    else:
        objective = choose_for(spec, height_width, 1 if regions is None else len(regions), jobs)
    pictures = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, jnp.float32), (stage.content, stage.styles))
    return CompileKey(objective, spec.solver, stage.before, (params, pictures, _weights(spec)), jobs)


def state_shapes(stage: Stage, spec: JobSpec) -> State:
    """A state of the solver in a stage: its structure, with shapes and types for arrays."""
    return init_state.eval_shape(
        jax.ShapeDtypeStruct(stage.content.shape, jnp.float32), solver=spec.solver, terms=spec.objective.terms
    )


def job_steps(
    params: Params,
    stages: list[Stage],
    spec: JobSpec,
    *,
    init: Pixels | None = None,
    observe: Callback = lambda report: False,
    chunk_at: Sequence[int] = (),
    resume: JobState | None = None,
) -> Generator[Request, Any, Result]:
    """The job as a sequence of calls of compiled programs, for whoever makes them: one job alone, or several together.

    Its arguments are those of `transfer`, planned. To each `Request` it is sent what the program returns.
    """
    weights = _weights(spec)
    course = History(observe, chunk_at, resume)
    before: Any = resume or jnp.asarray(initial_image(stages[0], spec, init))
    stage = stages[0]
    for stage in stages:
        before = yield from _run_stage(params, stage, before, weights, course)
        if course.stopped:
            break
    return Result(painted(before, stage), course.rows, course.seconds(), course.recoveries, course.stopped)


def _weights(spec: JobSpec) -> Any:
    return jax.tree.map(jnp.float32, spec.loss_weights)


def _pictures(stage: Stage) -> tuple[Any, ...]:
    """What the targets are made of, the content first."""
    return jax.tree.map(jnp.asarray, (stage.content, stage.styles))


def _run_stage(params: Params, stage: Stage, before: Any, weights: Any, course: History) -> Generator[Request, Any, State]:
    """The steps of a stage, from the first image, the state that the stage before ended in, or a position in this one."""
    targets = yield Request("targets", stage.number, (params, *_pictures(stage)))
    if isinstance(before, JobState):
        state, left = jax.tree.map(jnp.array, before.state), before.left
    else:
        arguments = (before, jnp.asarray(stage.detail)) if stage.before else (before,)
        state, left = (yield Request("start", stage.number, arguments)), stage.scale.steps
    recoveries, seconds_per_step = int(state.recoveries), None
    while left and not course.stopped:
        length = broadcast_int(course.chunk_length(left, seconds_per_step))
        began = time.perf_counter()
        state, metrics, count = yield Request("chunk", stage.number, (params, state, targets, weights, jnp.int32(length)))
        made = int(count)
        seconds = time.perf_counter() - began
        seconds_per_step = seconds / max(made, 1)
        course.step_seconds += seconds
        left = 0 if bool(state.stalled) else left - made
        messages = _messages(state, recoveries, course.step + made, ended=not left)
        recoveries = int(state.recoveries)
        course.note(stage, left, metrics, made, messages, state)
    return state


def _messages(state: State, recoveries: int, step: int, ended: bool) -> list[str]:
    """What to say of a chunk that ends at `step`, and perhaps the scale with it."""
    said = []
    if int(state.recoveries) > recoveries:
        said.append(f"by step {step} a step had no descent: went on from the last good image with fresh memory")
    if bool(state.stalled):
        said.append(f"by step {step} no step lowers the loss any more: this scale ends here")
    first, last = float(state.first_loss), float(state.loss)
    if ended and last > DIVERGENCE_FACTOR * first:
        said.append(f"by step {step} the loss was {last:.3g}, above the {first:.3g} of the first step: use a smaller rate")
    return said
