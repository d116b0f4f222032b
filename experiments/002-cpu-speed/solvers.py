"""Our L-BFGS beside optax's at equal numbers of gradients, on the transfer loss and on Rosenbrock's function.

    python experiments/002-cpu-speed/solvers.py [--size 256] [--evaluations 60]

Ours takes one gradient per step, `optax.lbfgs` as many as its zoom line search needs (and reuses the last one).
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nst_jax.config.compose import make_config
from nst_jax.config.to_spec import to_spec
from nst_jax.images.files import fit_long_side, resize
from nst_jax.images.named import find_image
from nst_jax.job import Inputs, make_stages
from nst_jax.job.memory_plan import choose_plan
from nst_jax.networks import load
from nst_jax.optimize import lbfgs

Function = Callable[[jax.Array], jax.Array]


def ours(f: Function, x: jax.Array, evaluations: int) -> list[float]:
    """The best loss after each gradient."""
    solver = lbfgs()

    @jax.jit
    def step(x: jax.Array, state: Any) -> Any:
        value, gradient = jax.value_and_grad(f)(x)
        moves, state = solver.update(gradient, state, x, value=value)
        return optax.apply_updates(x, moves), state, value

    state, losses = solver.init(x), []
    for _ in range(evaluations):
        x, state, value = step(x, state)
        losses.append(min(float(value), *losses[-1:]) if losses else float(value))
    return losses


def theirs(f: Function, x: jax.Array, evaluations: int) -> list[float]:
    """The best loss after each gradient, of `optax.lbfgs`."""
    solver = optax.lbfgs(memory_size=10)
    value_and_grad = optax.value_and_grad_from_state(f)

    @jax.jit
    def step(x: jax.Array, state: Any) -> Any:
        value, gradient = value_and_grad(x, state=state)
        moves, state = solver.update(gradient, state, x, value=value, grad=gradient, value_fn=f)
        count = optax.tree_utils.tree_get(state, "num_linesearch_steps")
        return optax.apply_updates(x, moves), state, optax.tree_utils.tree_get(state, "value"), count

    state, losses = solver.init(x), [float(f(x))]
    while len(losses) < evaluations:
        x, state, value, count = step(x, state)
        losses += [losses[-1]] * (max(int(count), 1) - 1) + [min(float(value), losses[-1])]
    return losses[:evaluations]


def rosenbrock(x: jax.Array) -> jax.Array:
    """Minimum 0 at ones."""
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def transfer_loss(size: int) -> tuple[Function, jax.Array]:
    """The default loss of the sample pictures, and the content as the initial image."""
    spec = to_spec(make_config({"size": size, "scales": 1, "steps": 1}), architecture="vgg19")
    content, style = (find_image(name).pixels for name in ("tubingen", "starry"))
    (stage,) = make_stages(Inputs(resize(content, fit_long_side(content.shape[1], content.shape[2], size)), (style,)), spec)
    objective, execution = spec.objective, choose_plan(spec, (stage.content.shape[1], stage.content.shape[2]))
    params = load("vgg19", convolution=objective.network.convolution, taps=objective.taps).params
    targets = jax.jit(functools.partial(objective.targets, plan=execution))(
        params, *jax.tree.map(jnp.asarray, (stage.content, stage.styles))
    )
    weights = jax.tree.map(jnp.float32, spec.loss_weights)
    return lambda image: objective.loss(params, image, targets, weights, execution)[0], jnp.asarray(stage.content)


def main() -> None:
    """Prints a row of losses for each function and solver."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--evaluations", type=int, default=60)
    options = parser.parse_args()
    problems = {"rosenbrock": (rosenbrock, jnp.full(100, -1.0), 400)}
    if options.size:
        problems |= {f"transfer {options.size} px": (*transfer_loss(options.size), options.evaluations)}
    for name, (f, x, count) in problems.items():
        for solver in (ours, theirs):
            losses = solver(f, x, count)
            found = (f"{n}: {losses[n - 1]:.4g}" for n in (count // 4, count // 2, count))
            print(name, solver.__name__, *found, flush=True)


if __name__ == "__main__":
    main()
