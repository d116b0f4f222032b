"""Textures by sliced Wasserstein distances, with directions that stay and that are drawn anew, judged on others.

    python experiments/021-sliced/textures.py OUT [SIZE STEPS [STYLE ...]]

One scale, from the same noise. Prints a line for each style and system, and writes the pictures to OUT/STYLE-SYSTEM.png.
Needs nst_jax[lpips].
"""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import nst_jax
from nst_jax.evaluate.heldout import judge
from nst_jax.images.files import fit_long_side, resize, to_pillow
from nst_jax.images.named import find_image
from nst_jax.objective.sliced import projections
from nst_jax.optimize import lbfgs

FOUR = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # those of experiment=texture
TWELVE = tuple(f"relu{i}_{j}" for i, last in ((1, 2), (2, 2), (3, 4), (4, 4)) for j in range(1, last + 1))
VGG = nst_jax.networks.load("vgg19")
ADAM = optax.adam(0.02, 0.9, 0.99)


def sliced(given: Any, image: jax.Array, key: jax.Array, *, layers: tuple[str, ...]) -> jax.Array:
    """The mean over layers of the sliced Wasserstein distance (Heitz et al. 2021), by as many directions as channels.

    `given` are the network's parameters and the style, whose size is the image's.
    """
    params, style = given
    distances = []
    for maps in VGG.features(params, jnp.concatenate([image, style]), layers).values():
        directions = jax.random.orthogonal(key, maps.shape[-1])
        ours, theirs = (projections(one[None], None, directions).parts for one in maps)
        distances.append(jnp.mean((ours - theirs) ** 2))
    return jnp.mean(jnp.stack(distances))


class System(NamedTuple):
    """A loss of (what it is given, image, key), an optimizer, and whether each step has a key of its own."""

    loss: Callable[[Any, jax.Array, jax.Array], jax.Array]
    optimizer: optax.GradientTransformationExtraArgs | optax.GradientTransformation
    redrawn: bool = False


SYSTEMS = {
    "wasserstein": System(lambda loss, image, _: loss(image), lbfgs()),
    "sliced-4": System(functools.partial(sliced, layers=FOUR), lbfgs()),
    "sliced-12": System(functools.partial(sliced, layers=TWELVE), lbfgs()),
    "sliced-12-adam": System(functools.partial(sliced, layers=TWELVE), ADAM),
    "sliced-12-adam-redrawn": System(functools.partial(sliced, layers=TWELVE), ADAM, redrawn=True),
}


def minimize(system: System, given: Any, image: jax.Array, steps: int) -> jax.Array:
    """The image after so many steps."""
    optimizer = optax.with_extra_args_support(system.optimizer)

    @jax.jit
    def step(given: Any, image: jax.Array, state: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        value, gradient = jax.value_and_grad(system.loss, argnums=1)(given, image, key)
        moves, state = optimizer.update(gradient, state, image, value=value, grad=gradient)
        return jnp.clip(jnp.asarray(optax.apply_updates(image, moves)), 0, 1), state

    state = optimizer.init(image)
    for i in range(steps):
        image, state = step(given, image, state, jax.random.key(i + 1 if system.redrawn else 0))
    return image


def main(out: Path, size: int, steps: int, styles: list[str]) -> None:
    """Paints and judges."""
    out.mkdir(parents=True, exist_ok=True)
    unseen = jax.jit(functools.partial(sliced, layers=TWELVE))
    for name in styles:
        style = find_image(name).pixels
        style = resize(style, fit_long_side(style.shape[1], style.shape[2], size))
        gray = np.full(style.shape[1:], 0.5, np.float32)
        default, noise = nst_jax.make_loss(gray, style[0], size=size, experiment="texture", scales=1, steps=1)
        for system_name, system in SYSTEMS.items():
            given = default if system_name == "wasserstein" else (VGG.params, jnp.asarray(style))
            began = time.perf_counter()
            image = minimize(system, given, jnp.asarray(noise), steps)
            seconds = time.perf_counter() - began
            keys = jax.random.split(jax.random.key(10_000), 8)
            away = [float(unseen((VGG.params, jnp.asarray(style)), image, key)) for key in keys]
            pixels = np.asarray(image)
            held_out = judge("vgg16", style, style, pixels)
            print(name, system_name, f"unseen {np.mean(away):.4f}, w2 {held_out.wasserstein:.3f}, {seconds:.0f} s", flush=True)
            to_pillow(pixels[0]).save(out / f"{name}-{system_name}.png")


if __name__ == "__main__":
    given_size, given_steps, *given_styles = sys.argv[2:] or ["128", "150"]
    main(Path(sys.argv[1]), int(given_size), int(given_steps), given_styles or ["starry", "mosaic"])
