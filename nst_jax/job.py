"""The job: pictures and a description in, one picture out. The one place that knows the order of the steps."""

import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nst_jax.errors import InputError
from nst_jax.images.color import recolor, with_colors
from nst_jax.images.files import fit_long_side, resize
from nst_jax.images.masks import Mask, check_aspect, check_regions, regions_at
from nst_jax.memory import fit
from nst_jax.objective.objective import LossWeights, Objective, Styles
from nst_jax.optimize.loop import Metrics, init_state
from nst_jax.optimize.solvers import SolverSpec, State, picture
from nst_jax.programs import CAPACITY, Call, Needs, compile_ahead
from nst_jax.types import Params

Pixels = Float[np.ndarray, "1 _h _w 3"]
# Where a job may start from, besides a picture of its own ("file").
INITS = ("content", "style", "noise", "adain")
# A chunk holds as many steps as fill about so many seconds: the host wakes once a chunk.
CHUNK_SECONDS = 1.0


@dataclass(frozen=True)
class Scale:
    """One stage of coarse to fine: the longer side in pixels, and the number of steps (evaluations of the loss)."""

    size: int
    steps: int


@dataclass(frozen=True)
class JobSpec:
    """Everything that decides the picture, but for the pictures and the network's parameters.

    Attributes:
        objective: the structure of the loss.
        loss_weights: its multipliers, as plain numbers.
        solver: how it is minimized.
        scales: coarse to fine; each goes on from the state at the end of the one before, enlarged.
        style_scales: each style's longer side over the content's; one for all, or one each. A style picture is never enlarged.
        style_shares: by layer, and there by region, the share of each style; see `nst_jax.objective.objective.Styles`.
        init: what the first scale starts from: "content", "style", "noise", "adain" (see `nst_jax.preview`) or "file".
        seed: of the noise.
        color: whose colors the picture has, one of `nst_jax.images.color.COLORS`.
    """

    objective: Objective
    loss_weights: Any
    solver: SolverSpec
    scales: tuple[Scale, ...]
    style_scales: tuple[float, ...] = (1.0,)
    style_shares: dict[str, Any] = field(default_factory=dict)
    init: str = "content"
    seed: int = 0
    color: str = "style"


class Inputs(NamedTuple):
    """The pictures of a job; sRGB in [0, 1], of any sizes.

    Attributes:
        content: its arrangement is kept.
        styles: their texture and colors are taken.
        init: the picture to start from, for `JobSpec.init == "file"`.
        masks: the regions of the content, see `nst_jax.images.masks.regions_at`; () is one that covers everything.
        style_masks: of each style, which part of it counts, None for all of it; () is all of all.
    """

    content: Pixels
    styles: tuple[Pixels, ...]
    init: Pixels | None = None
    masks: tuple[Mask | None, ...] = ()
    style_masks: tuple[Mask | None, ...] = ()


class Position(NamedTuple):
    """Where a job stands between two chunks of steps: from here it goes on to the same bytes.

    Attributes:
        stage: number of the scale.
        left: steps left of it.
        step: steps made so far, over all scales.
        seconds: spent so far: "steps", "total".
        recoveries: what was said so far of steps that had to be undone.
        state: the solver's, in the host's memory.
    """

    stage: int
    left: int
    step: int
    seconds: dict[str, float]
    recoveries: tuple[str, ...]
    state: State


class Report(NamedTuple):
    """What an observer is told after each chunk of steps.

    Attributes:
        step: steps made so far, over all scales.
        rows: one mapping for each step of the chunk: step, scale, size, loss, content, style, tv, seconds.
        messages: what the user should know, such as a step that was undone.
        pixels: gives the picture so far, at the size of its scale.
        last: the job ends here, whatever the observer wants.
        position: gives what is needed to go on from here; to be asked for before the observer returns.
    """

    step: int
    rows: list[dict[str, Any]]
    messages: list[str]
    pixels: Callable[[], Pixels]
    last: bool
    position: Callable[[], Position]


# Told after each chunk; True asks the job to stop with the picture so far.
Observer = Callable[[Report], bool]


@dataclass(frozen=True)
class Outcome:
    """What a job gives back.

    Attributes:
        pixels: the picture, within [0, 1].
        rows: the metrics of every step; where the job went on from a position, of those since.
        seconds: of compiling (partly while steps are made), of the steps, in total.
        recoveries: what was said of steps that had to be undone.
        stopped: the observer asked to stop early.
    """

    pixels: Pixels
    rows: list[dict[str, Any]]
    seconds: dict[str, float]
    recoveries: list[str]
    stopped: bool


class Stage(NamedTuple):
    """One scale of a job.

    Attributes:
        number: of the scale, from 0.
        scale: its size and steps.
        content: the picture at this size, as the loss sees it.
        styles: likewise, and how they are mixed.
        colors: the picture, at this size, whose colors the result gets; None if it keeps its own.
        before: height and width of the scale before.
        detail: what the content has at this size and not at the one before; 0 where the loss asks for no content.
        is_last: the finest one.
    """

    number: int
    scale: Scale
    content: Pixels
    styles: Styles
    colors: Pixels | None
    before: tuple[int, int] | None
    detail: Pixels
    is_last: bool


def transfer(
    params: Params,
    inputs: Inputs,
    spec: JobSpec,
    *,
    observe: Observer = lambda report: False,
    chunk_at: Sequence[int] = (),
    resume: Position | None = None,
) -> Outcome:
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
        InputError: a picture too narrow for one of the scales.
    """
    check_pictures(inputs, spec)
    stages = plan(inputs, spec)[resume.stage if resume else 0 :]
    compile_seconds, reply = 0.0, None
    procedure = steps_of(params, stages, spec, init=inputs.init, observe=observe, chunk_at=chunk_at, resume=resume)
    with compile_ahead([needs(params, stage, spec) for stage in stages]) as pending:
        try:
            while True:
                call = procedure.send(reply)
                compiled = pending[call.stage - stages[0].number].result()
                reply = getattr(compiled.programs, call.program)(*call.arguments)
                compile_seconds += compiled.seconds if call.program == "targets" else 0.0
        except StopIteration as end:
            outcome: Outcome = end.value
    return replace(outcome, seconds={"compile": compile_seconds} | outcome.seconds)


def plan(inputs: Inputs, spec: JobSpec) -> list[Stage]:
    """The stages of a job, coarse to fine, with the pictures at their sizes."""
    colors = inputs.content if spec.color == "luminance" else None
    recolored = [recolor(inputs.content, style, spec.color) for style in inputs.styles]
    content = recolored[0][0] if recolored else inputs.content
    seen = inputs._replace(content=content, styles=tuple(style for _, style in recolored))
    return [_stage(i, seen, colors, spec) for i in range(len(spec.scales))]


def needs(params: Params, stage: Stage, spec: JobSpec, jobs: int = 0) -> Needs:
    """What decides the programs of a stage, of one job alone or of several together."""
    objective = fit(spec.objective, stage.content.shape[1] * stage.content.shape[2] * max(jobs, 1))
    return Needs(objective, spec.solver, stage.before, (params, _pictures(stage), _weights(spec)), jobs)


def state_shapes(stage: Stage, spec: JobSpec) -> State:
    """A state of the solver in a stage: its structure, with shapes and types for arrays."""
    return init_state.eval_shape(jax.ShapeDtypeStruct(stage.content.shape, jnp.float32), solver=spec.solver)


def steps_of(
    params: Params,
    stages: list[Stage],
    spec: JobSpec,
    *,
    init: Pixels | None = None,
    observe: Observer = lambda report: False,
    chunk_at: Sequence[int] = (),
    resume: Position | None = None,
) -> Generator[Call, Any, Outcome]:
    """The job as a sequence of calls of compiled programs, for whoever makes them: one job alone, or several together.

    Its arguments are those of `transfer`, planned. To each `Call` it is sent what the program returns.
    """
    weights = _weights(spec)
    course = _Course(observe, chunk_at, resume)
    before: Any = resume or jnp.asarray(_initial_image(stages[0], spec, init))
    stage = stages[0]
    for stage in stages:
        before = yield from _run_stage(params, stage, before, weights, course)
        if course.stopped:
            break
    return Outcome(_picture(before, stage), course.rows, course.seconds(), course.recoveries, course.stopped)


def _weights(spec: JobSpec) -> Any:
    return jax.tree.map(jnp.float32, spec.loss_weights)


def _pictures(stage: Stage) -> tuple[Any, ...]:
    """What the targets are made of, the content first."""
    return jax.tree.map(jnp.asarray, (stage.content, stage.styles))


def check_pictures(inputs: Inputs, spec: JobSpec) -> None:
    """Raises InputError for a picture too narrow, at one of the scales, for the deepest layer of the loss, or for bad masks."""
    _check_masks(inputs, spec)
    smallest = spec.objective.smallest
    for scale in spec.scales:
        sizes = [("content", _content_size(inputs.content, scale))]
        sizes += [("style", size) for size in _style_sizes(inputs.styles, scale, spec)]
        for role, (height, width) in sizes:
            if min(height, width) < smallest:
                raise InputError(
                    f"{role} must be at least {smallest} pixels on each side at the scale {scale.size}, got {width}x{height};"
                    " use a larger scale, or crop the picture"
                )


def _check_masks(inputs: Inputs, spec: JobSpec) -> None:
    for number, mask in enumerate(inputs.masks, 1):
        if mask is not None:
            check_aspect(f"the mask of region {number}", mask, inputs.content)
    for number, (mask, style) in enumerate(zip(inputs.style_masks, inputs.styles, strict=False), 1):
        if mask is not None:
            check_aspect(f"the mask of style {number}", mask, style)
            if resize(mask, _style_sizes(inputs.styles, spec.scales[0], spec)[number - 1]).sum() < 1:
                raise InputError(
                    f"the mask of style {number} must have a white part, got a black picture; paint what counts white"
                )
    for scale in spec.scales if inputs.masks else ():
        check_regions(inputs.masks, _content_size(inputs.content, scale))


class _Course:
    """What accumulates over the chunks of all scales."""

    def __init__(self, observe: Observer, chunk_at: Sequence[int], resume: Position | None) -> None:
        before = resume.seconds if resume else {"steps": 0.0, "total": 0.0}
        self.began, self.observe, self.chunk_at = time.perf_counter() - before["total"], observe, chunk_at
        self.rows: list[dict[str, Any]] = []
        self.step = resume.step if resume else 0
        self.recoveries = list(resume.recoveries) if resume else []
        self.step_seconds = before["steps"]
        self.stopped = False

    def seconds(self) -> dict[str, float]:
        """Spent so far."""
        return {"steps": self.step_seconds, "total": time.perf_counter() - self.began}

    def chunk_length(self, left: int, seconds_per_step: float | None) -> int:
        """Steps of the next chunk: one at first, then as many as fill `CHUNK_SECONDS`."""
        length = 1 if seconds_per_step is None else int(CHUNK_SECONDS / max(seconds_per_step, 1e-6))
        ahead = bisect_right(self.chunk_at, self.step)
        if ahead < len(self.chunk_at):
            left = min(left, self.chunk_at[ahead] - self.step)
        return max(1, min(length, left, CAPACITY))

    def note(self, stage: Stage, left: int, metrics: Metrics, made: int, messages: list[str], state: State) -> None:
        """Records the rows of a chunk that ended in `state`, `left` steps before the end of its stage; tells the observer."""
        seconds = time.perf_counter() - self.began
        columns = {name: np.asarray(column).tolist() for name, column in metrics._asdict().items()}
        new: list[dict[str, Any]] = [
            {"step": self.step + i + 1, "scale": stage.number, "size": stage.scale.size}
            | {name: column[i] for name, column in columns.items()}
            | {"seconds": round(seconds, 3)}
            for i in range(made)
        ]
        self.rows += new
        self.step += made
        self.recoveries += messages

        def position() -> Position:
            return Position(stage.number, left, self.step, self.seconds(), tuple(self.recoveries), _on_host(state))

        last = not left and stage.is_last
        self.stopped = bool(self.observe(Report(self.step, new, messages, lambda: _picture(state, stage), last, position)))


def _stage(index: int, inputs: Inputs, colors: Pixels | None, spec: JobSpec) -> Stage:
    scale = spec.scales[index]
    height_width = _content_size(inputs.content, scale)
    content = resize(inputs.content, height_width)
    colors = None if colors is None else resize(colors, height_width)
    before = _content_size(inputs.content, spec.scales[index - 1]) if index else None
    detail = np.zeros_like(content)
    if before and isinstance(spec.loss_weights, LossWeights) and any(spec.loss_weights.content.values()):
        detail = content - resize(resize(inputs.content, before), height_width)
    last = index == len(spec.scales) - 1
    return Stage(index, scale, content, _styles_at(inputs, scale, spec), colors, before, detail, is_last=last)


def _styles_at(inputs: Inputs, scale: Scale, spec: JobSpec) -> Styles:
    """The styles and all masks at the sizes of a scale."""
    sizes = _style_sizes(inputs.styles, scale, spec)
    masks = [None if mask is None else resize(mask, size) for mask, size in zip(inputs.style_masks, sizes, strict=False)]
    regions = regions_at(inputs.masks, _content_size(inputs.content, scale)) if inputs.masks else None
    shares = jax.tree.map(np.float32, spec.style_shares)
    return Styles(tuple(map(resize, inputs.styles, sizes)), shares or None, tuple(masks), regions)  # pyright: ignore


def _content_size(content: Pixels, scale: Scale) -> tuple[int, int]:
    return fit_long_side(content.shape[1], content.shape[2], scale.size)


def _style_sizes(styles: tuple[Pixels, ...], scale: Scale, spec: JobSpec) -> list[tuple[int, int]]:
    factors = spec.style_scales * len(styles) if len(spec.style_scales) == 1 else spec.style_scales
    sizes = [min(round(scale.size * factor), max(s.shape[1:3])) for s, factor in zip(styles, factors, strict=True)]
    return [fit_long_side(s.shape[1], s.shape[2], size) for s, size in zip(styles, sizes, strict=True)]


def _initial_image(stage: Stage, spec: JobSpec, init: Pixels | None) -> Pixels:
    if spec.init == "noise":
        return np.asarray(jax.random.uniform(jax.random.key(spec.seed), stage.content.shape))
    source = {"content": stage.content, "style": next(iter(stage.styles.pictures), None), "adain": init, "file": init}[
        spec.init
    ]
    assert source is not None, "init='file' and init='adain' come with a picture"
    return resize(source, (stage.content.shape[1], stage.content.shape[2]))


def _run_stage(params: Params, stage: Stage, before: Any, weights: Any, course: _Course) -> Generator[Call, Any, State]:
    """The steps of a stage, from the first image, the state that the stage before ended in, or a position in this one."""
    targets = yield Call("targets", stage.number, (params, *_pictures(stage)))
    if isinstance(before, Position):
        state, left = jax.tree.map(jnp.array, before.state), before.left
    else:
        arguments = (before, jnp.asarray(stage.detail)) if stage.before else (before,)
        state, left = (yield Call("start", stage.number, arguments)), stage.scale.steps
    recoveries, seconds_per_step = int(state.recoveries), None
    while left and not course.stopped:
        length = course.chunk_length(left, seconds_per_step)
        began = time.perf_counter()
        state, metrics, count = yield Call("chunk", stage.number, (params, state, targets, weights, jnp.int32(length)))
        made = int(count)
        seconds = time.perf_counter() - began
        seconds_per_step = seconds / max(made, 1)
        course.step_seconds += seconds
        messages = _messages(state, recoveries, course.step + made)
        recoveries = int(state.recoveries)
        left = 0 if bool(state.stalled) else left - made
        course.note(stage, left, metrics, made, messages, state)
    return state


def _on_host(state: State) -> State:
    """A copy in the host's memory: the next chunk of steps writes over the state."""
    return jax.tree.map(lambda array: np.array(array), state)


def _picture(state: State, stage: Stage) -> Pixels:
    painted = np.asarray(picture(state))
    return painted if stage.colors is None else with_colors(painted, stage.colors)


def _messages(state: State, recoveries: int, step: int) -> list[str]:
    """What to say of a chunk that ends at `step`."""
    said = []
    if int(state.recoveries) > recoveries:
        said.append(f"by step {step} a step had no descent: went on from the last good image with fresh memory")
    if bool(state.stalled):
        said.append(f"by step {step} no step lowers the loss any more: this scale ends here")
    return said
