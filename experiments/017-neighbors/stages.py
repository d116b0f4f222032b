"""The stages of NNST (Kolkin et al. 2022) with L-BFGS on pixels, for comparison with its twin and `experiment=drawing`.

    python experiments/017-neighbors/stages.py CONTENT STYLE OUT.png [--size 128] [--steps 60] [--split 60]

At each scale, from 64 px on, every hypercolumn of the picture so far (¾ content; at the first scale the content alone) is
matched once with those of the style and its quarter turns, and the cosine distance to these matches is minimized. Then the
distances to the nearest vectors, layer by layer, with matches made anew in each step.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from nst_jax import networks
from nst_jax.evaluate import scores
from nst_jax.images.files import fit_long_side, read_image, resize, write_image
from nst_jax.networks.convnet import features
from nst_jax.optimize import lbfgs
from nst_jax.types import Image

TAPS = tuple(f"relu{block}_{i}" for block, depth in enumerate((2, 2, 3, 3), 1) for i in range(1, depth + 1))
SMALLEST, CONTENT, SAMPLED = 64, 0.75, 64
NETWORK = networks.load("vgg16-lpips", taps=TAPS)
SOLVER = lbfgs(dct_floor=0.05)
Vectors = Float[Array, "n c"]


def directions(x: Vectors) -> Vectors:
    """Each row divided by its length."""
    return x * jax.lax.rsqrt(jnp.sum(x**2, 1, keepdims=True) + 1e-20)


def centered(x: Vectors) -> Vectors:
    """Directions from the mean."""
    return directions(x - x.mean(0, keepdims=True))


def nearest(queries: Vectors, bag: Vectors) -> Int[Array, " n"]:
    """For each direction the number of the most similar one."""
    return jnp.argmax(jax.lax.stop_gradient(queries) @ bag.T, 1)


def turns(image: Image) -> list[Image]:
    """A picture and its quarter turns."""
    return [jnp.rot90(image, k, (1, 2)) for k in range(4)]


@jax.jit
def hypercolumns(params: Any, image: Image) -> Vectors:
    """All maps over their numbers of channels, at a quarter of the picture's size, joined."""
    maps = features(params, image, TAPS, spec=NETWORK.spec)
    quarter = [max(side // 4, 1) for side in image.shape[1:3]]
    small = [jax.image.resize(x / x.shape[-1], (1, *quarter, x.shape[-1]), "linear", antialias=False) for x in maps.values()]
    return jnp.concatenate(small, -1).reshape(quarter[0] * quarter[1], -1)


@jax.jit
def sampled(params: Any, image: Image) -> list[Vectors]:
    """The vectors of each map, at most about 64 along a side."""
    found = []
    for x in features(params, image, TAPS, spec=NETWORK.spec).values():
        stride = max(1, max(x.shape[1:3]) // SAMPLED)
        found.append(x[:, ::stride, ::stride].reshape(-1, x.shape[-1]))
    return found


def matched_distance(image: Image, params: Any, target: Vectors) -> Float[Array, ""]:
    """1 − cos to the matches, in the mean."""
    return 1 - jnp.mean(jnp.sum(directions(hypercolumns(params, image)) * target, 1))


def split_distance(image: Image, params: Any, bags: list[Vectors]) -> Float[Array, ""]:
    """The centered cosine distance to the nearest vectors, layer by layer."""
    total = jnp.zeros(())
    for found, bag in zip(map(centered, sampled(params, image)), bags, strict=True):
        total += 1 - jnp.mean(jnp.sum(found * bag[nearest(found, bag)], 1))
    return total


def minimize(image: Image, distance: Callable[..., Float[Array, ""]], steps: int, *arguments: Any) -> tuple[Image, float]:
    """Steps of L-BFGS, and the distance before the last one."""

    @jax.jit
    def step(image: Image, state: Any, *arguments: Any) -> tuple[Any, Any, Float[Array, ""]]:
        value, gradient = jax.value_and_grad(distance)(image, *arguments)
        moves, state = SOLVER.update(gradient, state, image, value=value)
        return optax.apply_updates(image, moves), state, value

    state, value = SOLVER.init(image), jnp.zeros(())
    for _ in range(steps):
        image, state, value = step(image, state, *arguments)
    return image, float(value)


def paint(content: Path, style: Path, size: int, steps: int, split: int) -> Image:
    """All scales, then the layers one by one."""
    scales = [size]
    while scales[0] // 2 >= SMALLEST:
        scales.insert(0, scales[0] // 2)
    image, params = _at(content, scales[0]), NETWORK.params
    for scale in scales:
        photo, manner = _at(content, scale), _at(style, scale)
        image = jax.image.resize(image, photo.shape, "linear")
        query = hypercolumns(params, CONTENT * photo + (1 - CONTENT) * image)
        bag = jnp.concatenate([hypercolumns(params, turned) for turned in turns(manner)])
        target = directions(bag[nearest(centered(query), centered(bag))])
        image, value = minimize(image, matched_distance, steps, params, target)
        print(f"{scale} px: {value:.4f}", flush=True)
    of_style = (sampled(params, turned) for turned in turns(_at(style, size)))
    bags = [centered(jnp.concatenate(each)) for each in zip(*of_style, strict=True)]
    image, value = minimize(image, split_distance, split, params, bags)
    print(f"layer by layer: {value:.4f}", flush=True)
    return image


def _at(path: Path, size: int) -> Image:
    pixels = read_image(path).pixels
    _, height, width, _ = pixels.shape
    return jnp.asarray(resize(pixels, fit_long_side(height, width, size)))


def main() -> None:
    """Paints one picture and scores it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--split", type=int, default=60)
    args = parser.parse_args()
    began = time.perf_counter()
    pixels = np.clip(np.asarray(paint(args.content, args.style, args.size, args.steps, args.split)), 0, 1)
    print(f"{time.perf_counter() - began:.0f} s")
    write_image(args.out, pixels)
    found = scores(read_image(args.content).pixels, read_image(args.style).pixels, pixels)
    print({name: round(found[name], 3) for name in ("lpips_alex", "style_w2_vgg16", "style_w2_alex", "color_w2", "noise")})


if __name__ == "__main__":
    main()
