"""Adam and L-BFGS on one image, each guarded: the image kept is always one whose loss was finite.

Both are state machines with one evaluation of the loss a step, so that the loss is compiled once and a step costs one
gradient, whatever happens in it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from nst_jax.objective.loss import Terms
from nst_jax.optimize.dct import dct, idct
from nst_jax.optimize.ema import Average, mean, no_average
from nst_jax.optimize.lbfgs_memory import LbfgsMemory, clear, direction_of, empty_memory, push
from nst_jax.types import Image

Scalar = Float[Array, ""]
# Image -> ((loss, terms), gradient).
Evaluate = Callable[[Image], tuple[tuple[Scalar, Terms], Image]]

# Armijo's constant: a step must bring at least this part of the decrease that the slope promises.
SUFFICIENT_DECREASE = 1e-4
# Root mean square change of the image in the first step along a bare gradient, in units of [0, 1].
FIRST_CHANGE = 0.02
# A loss so many times that of the step before is the beginning of the end, with momentum.
LEAP = 10
# A direction is given up for the bare gradient after so many refusals in a row.
MAX_REJECTIONS = 8


@dataclass(frozen=True)
class SolverSpec:
    """Which solver.

    Attributes:
        name: a key of `SOLVERS`.
        learning_rate: Adam's, in units of [0, 1] a step, or momentum's, which multiplies the gradient; L-BFGS has none.
        memory: how many pairs of changes L-BFGS keeps.
        averaging: the picture is an average of the images so far, in which each counts for this power of its age in steps; 0 is
            the newest alone.
        schedule: of momentum: factors on its rate, each with a number of steps; the last one lasts. () is 1.
        waves: of Adam: the floor of the coordinates of `nst_jax.optimize.dct`; 0 is pixels.
        falling: of Adam: in so many steps its rate falls to 0, as half a wave of the cosine; 0 is never.
    """

    name: str = "lbfgs"
    learning_rate: float = 0.02
    memory: int = 10
    averaging: float = 0.0
    schedule: tuple[tuple[float, int], ...] = ()
    waves: float = 0.0
    falling: int = 0


class State(NamedTuple):
    """Where a solver stands.

    Attributes:
        image: the last image known to be good.
        loss: of that image (of the one before, for Adam), infinite before the first step.
        terms: of the same.
        recoveries: how often a step had to be undone with fresh memory.
        stalled: no step along the bare gradient brings a decrease any more.
        average: of the images so far.
        inner: the solver's own.
    """

    image: Image
    loss: Scalar
    terms: Terms
    recoveries: Int[Array, ""]
    stalled: Bool[Array, ""]
    average: Average
    inner: Any


class Solver(NamedTuple):
    """What a solver does.

    Attributes:
        init: image -> the state before the first step.
        step: the state after one step, which evaluates the loss once.
        carry: state and image -> the state that goes on from the image, of another size, with what can be kept of the former.
    """

    init: Callable[[Image], State]
    step: Callable[[Evaluate, State], State]
    carry: Callable[[State, Image], State]


def picture(state: State) -> Image:
    """The picture that a state stands for: the average of the images so far, within [0, 1]."""
    return jnp.clip(mean(state.average, state.image), 0, 1)


def _start(image: Image, inner: Any) -> State:
    return State(image, jnp.full((), jnp.inf), {}, jnp.zeros((), jnp.int32), jnp.zeros((), bool), no_average(image), inner)


def _finite(loss: Scalar, gradient: Image) -> Bool[Array, ""]:
    return jnp.isfinite(loss) & jnp.isfinite(jnp.sum(gradient))


def _choose(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


class _AdamState(NamedTuple):
    moments: optax.OptState
    good: Image
    rate: Scalar
    steps: Int[Array, ""]


def adam(spec: SolverSpec) -> Solver:
    """Adam (Kingma and Ba 2015) with β = (0.9, 0.99), in pixels or in waves, the image kept within [0, 1].

    After a step to where the loss is not finite: back to the last good image, with half the rate and fresh moments.
    """
    scale = optax.scale_by_adam(b1=0.9, b2=0.99)
    fall = optax.cosine_decay_schedule(1.0, spec.falling) if spec.falling else optax.constant_schedule(1.0)

    def init(image: Image) -> State:
        return _start(image, _AdamState(scale.init(image), image, jnp.full((), spec.learning_rate), jnp.zeros((), jnp.int32)))

    def step(evaluate: Evaluate, state: State) -> State:
        inner: _AdamState = state.inner
        (loss, terms), gradient = evaluate(state.image)
        fine, steps = _finite(loss, gradient), inner.steps + 1
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to the power of an integer
            waves, moments = scale.update(dct(gradient, spec.waves), inner.moments)
            rate = inner.rate * fall(inner.steps)
        moved = jnp.clip(state.image - rate * idct(jnp.asarray(waves), spec.waves), 0, 1)
        after = state._replace(image=moved, loss=loss, terms=terms, inner=_AdamState(moments, state.image, inner.rate, steps))
        back = state._replace(
            image=inner.good,
            recoveries=state.recoveries + 1,
            inner=_AdamState(scale.init(inner.good), inner.good, inner.rate / 2, steps),
        )
        return _choose(fine, after, back)

    def carry(state: State, image: Image) -> State:
        inner: _AdamState = state.inner
        size = image.shape[1], image.shape[2]
        # The waves of one size are not those of another.
        moments = scale.init(image) if spec.waves else _resize_moments(inner.moments, size)
        return _start(image, inner._replace(moments=moments, good=image))

    return Solver(init, step, carry)


def _resize_moments(moments: Any, height_width: tuple[int, int]) -> Any:
    """Adam's moments at another size. The loss is one of means: the more pixels, the smaller the gradient of each."""
    share = moments.mu.shape[1] * moments.mu.shape[2] / (height_width[0] * height_width[1])
    mu = share * resized(moments.mu, height_width, "cubic")
    nu = share**2 * jnp.maximum(resized(moments.nu, height_width, "linear"), 0)
    return moments._replace(mu=mu, nu=nu)


class _LbfgsState(NamedTuple):
    gradient: Image
    direction: Image
    length: Scalar
    refusals: Int[Array, ""]
    pairs: LbfgsMemory


def lbfgs(spec: SolverSpec) -> Solver:
    """L-BFGS (Liu and Nocedal 1989) whose line search takes one evaluation a step.

    A step evaluates the image one trial length along the direction. With enough decrease the trial is accepted and the next
    direction made; otherwise (too little decrease, infinite, not a number) the next step tries a shorter length from the same
    image. After `MAX_REJECTIONS` of these the memory is cleared and the steepest descent followed; if that is refused as often,
    the search has stalled. The image kept never has a larger loss than the one before.
    """

    def fresh(inner: _LbfgsState, gradient: Image, when: Bool[Array, ""]) -> _LbfgsState:
        """Along the bare gradient, without memory, if `when`."""
        norm = jnp.sqrt(jnp.sum(gradient**2))
        length = FIRST_CHANGE * jnp.sqrt(1.0 * gradient.size) / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)
        begun = gradient, -gradient, length, jnp.zeros((), jnp.int32)
        gradient, direction, length, refusals = _choose(when, begun, tuple(inner[:4]))
        return _LbfgsState(gradient, direction, length, refusals, clear(inner.pairs, when))

    def init(image: Image) -> State:
        zero = jnp.zeros_like(image)
        return _start(image, _LbfgsState(zero, zero, jnp.zeros(()), jnp.zeros((), jnp.int32), empty_memory(image, spec.memory)))

    def shorten(inner: _LbfgsState, loss: Scalar, excess: Scalar, slope: Scalar) -> _LbfgsState:
        """A shorter length, by the parabola through what is known of the loss along the direction."""
        parabola = -inner.length * slope / (2 * jnp.maximum(excess, jnp.finfo(excess.dtype).tiny))
        factor = jnp.where(jnp.isfinite(loss), jnp.clip(parabola, 0.1, 0.5), 0.1)
        return inner._replace(length=inner.length * factor, refusals=inner.refusals + 1)

    def turn(inner: _LbfgsState, shorter: _LbfgsState, gradient: Image, enough: Bool[Array, ""]) -> _LbfgsState:
        """The next direction if there was enough decrease, else a shorter step or, after too many, the bare gradient."""
        move, change = inner.length * inner.direction, gradient - inner.gradient
        curved = enough & (jnp.sum(move * change) > 0)
        pairs = push(inner.pairs, move, change, curved)
        direction = direction_of(pairs, gradient)
        usable = curved & (jnp.sum(gradient * direction) < 0) & jnp.isfinite(jnp.sum(direction))
        following = gradient, direction, jnp.ones(()), jnp.zeros((), jnp.int32)
        new, direction, length, refusals = _choose(usable, following, tuple(shorter[:4]))
        given_up = shorter.refusals >= MAX_REJECTIONS
        after = _LbfgsState(new, direction, length, refusals, pairs)
        return fresh(after, jnp.where(enough, gradient, inner.gradient), jnp.where(enough, ~usable, given_up))

    def step(evaluate: Evaluate, state: State) -> State:
        inner: _LbfgsState = state.inner
        trial = state.image + inner.length * inner.direction
        (loss, terms), gradient = evaluate(trial)
        slope = jnp.sum(inner.gradient * inner.direction)
        # Strictly less: a length too small to change the image in float32 is no step.
        enough = (loss < state.loss) & (loss <= state.loss + SUFFICIENT_DECREASE * inner.length * slope)
        enough &= _finite(loss, gradient)
        shorter = shorten(inner, loss, loss - state.loss - inner.length * slope, slope)
        given_up = ~enough & (shorter.refusals >= MAX_REJECTIONS)
        bare = jnp.all(inner.direction == -inner.gradient)
        image, loss, terms = _choose(enough, (trial, loss, terms), (state.image, state.loss, state.terms))
        return state._replace(
            image=image,
            loss=loss,
            terms=terms,
            recoveries=state.recoveries + given_up.astype(jnp.int32),
            stalled=state.stalled | (given_up & bare),
            inner=turn(inner, shorter, gradient, enough),
        )

    def carry(state: State, image: Image) -> State:
        del state  # its pairs of changes belong to another function
        return init(image)

    return Solver(init, step, carry)


class _MomentumState(NamedTuple):
    velocity: Image
    good: Image
    factor: Scalar
    steps: Int[Array, ""]


def momentum(spec: SolverSpec) -> Solver:
    """Gradient descent with momentum 0.9, v ← 0.9 v − rate · ∇, x ← x + v, as Mahendran and Vedaldi 2015 (sec. 2.2) have it.

    The rate falls by the steps of `spec.schedule`, and v is 0 again wherever it does. After a step to where the loss is not
    finite, or has leapt (`LEAP`): back to the image before, with half the rate and v = 0.
    """
    factors, counts = zip(*(spec.schedule or ((1.0, 1),)), strict=True)
    starts = (0, *itertools.accumulate(counts[:-1]))

    def init(image: Image) -> State:
        zero = jnp.zeros((), jnp.int32)
        return _start(image, _MomentumState(jnp.zeros_like(image), image, jnp.ones(()), zero))

    def step(evaluate: Evaluate, state: State) -> State:
        inner: _MomentumState = state.inner
        (loss, terms), gradient = evaluate(state.image)
        stage = jnp.sum(inner.steps >= jnp.asarray(starts)) - 1
        rate = spec.learning_rate * inner.factor * jnp.asarray(factors, gradient.dtype)[stage]
        kept = jnp.where(inner.steps == jnp.asarray(starts)[stage], 0.0, 0.9)
        velocity = kept * inner.velocity - rate * gradient
        moved = inner._replace(velocity=velocity, good=state.image, steps=inner.steps + 1)
        after = state._replace(image=state.image + velocity, loss=loss, terms=terms, inner=moved)
        slower = _MomentumState(jnp.zeros_like(velocity), inner.good, inner.factor / 2, inner.steps + 1)
        back = state._replace(image=inner.good, recoveries=state.recoveries + 1, inner=slower)
        return _choose(_finite(loss, gradient) & (loss <= LEAP * state.loss), after, back)

    def carry(state: State, image: Image) -> State:
        del state
        return init(image)

    return Solver(init, step, carry)


# Name in the config -> solver.
SOLVERS: dict[str, Callable[[SolverSpec], Solver]] = {"adam": adam, "lbfgs": lbfgs, "momentum": momentum}


def upsample(image: Image, detail: Float[Array, "1 h2 w2 3"]) -> Float[Array, "1 h2 w2 3"]:
    """The image at the size of `detail` by a Lanczos filter of three lobes, plus the detail; clipped to [0, 1].

    An enlarged image is blurred, and the network takes blur for content. With the detail of the content picture the loss
    begins lower and stays so.
    """
    return jnp.clip(resized(image, (detail.shape[1], detail.shape[2]), "lanczos3") + detail, 0, 1)


def resized(maps: Float[Array, "1 h w c"], height_width: tuple[int, int], method: str) -> Float[Array, "1 h2 w2 c"]:
    """Maps at another size; `method` is one of `jax.image.ResizeMethod`: "lanczos3", "cubic", "linear"."""
    return jax.image.resize(maps, (1, *height_width, maps.shape[-1]), method)
