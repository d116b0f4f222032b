"""Which terms and layers paint the fine detail in flat regions of a picture: their forces on it, step by step, as JSON.

    python experiments/003-quality/specks.py CONTENT STYLE [--size 192] [--steps 1,5,20,60]

The detail n is what a Gaussian of 1 pixel takes away, in the quarter of the content that is flat. A term T acts on it with the
force −⟨∇T, n⟩ / ‖n‖: above 0 the term makes the detail grow, below 0 it takes it away. In a minimum the forces add up to 0.
"""

import argparse
import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

import nst_jax
from nst_jax.api import Loss
from nst_jax.evaluate.pixels import FLAT, noise
from nst_jax.images.files import read_image, resize
from nst_jax.types import Image, Pixels

gradient = jax.jit(jax.grad(lambda image, loss: loss(image)))


def blurred(x: Float[np.ndarray, "1 h w c"], sigma: float) -> Float[np.ndarray, "1 h w c"]:
    """Convolves with a Gaussian."""
    return gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest")


def flat(content: Pixels) -> Bool[np.ndarray, "1 h w 1"]:
    """Where the content deviates least within a window of 1/64 of its longer side."""
    sigma = max(content.shape[1:3]) / 64
    variance = np.sum(blurred(content**2, sigma) - blurred(content, sigma) ** 2, axis=-1, keepdims=True)
    return variance <= np.quantile(variance, FLAT)


def parts(loss: Loss) -> dict[str, Loss]:
    """The loss with all but one of its terms, or layers of its terms, weighted by 0."""
    off = jax.tree.map(jnp.zeros_like, loss.weights)._replace(regions=loss.weights.regions)
    found = {"tv": off._replace(tv=loss.weights.tv), "color": off._replace(color=loss.weights.color)}
    for term in ("style", "content"):
        layers = getattr(loss.weights, term)
        for name in layers:
            alone = {other: weight * (other == name) for other, weight in layers.items()}
            found[f"{term} {name}"] = off._replace(**{term: alone})
    return {name: dataclasses.replace(loss, weights=weights) for name, weights in found.items()}


def forces(loss: Loss, image: Image, detail: Float[np.ndarray, "1 h w 3"]) -> dict[str, float]:
    """The force of each part of the loss on the detail of an image."""
    unit = detail / np.linalg.norm(detail)
    return {name: -float(np.sum(np.asarray(gradient(image, part)) * unit)) for name, part in parts(loss).items()}


def main() -> None:
    """Paints a picture, and says at some of its last scale's steps what acts on its detail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--steps", default="1,5,20,60", help="of the last scale, with commas")
    args = parser.parse_args()
    wanted, seen = [int(step) for step in args.steps.split(",")], {}

    def keep(info: nst_jax.StepInfo) -> None:
        steps = sum(row["size"] == args.size for row in info.rows)
        if steps:
            seen[max(seen, default=0) + steps] = info.pixels()

    made = nst_jax.transfer(args.content, args.style, callback=keep, progress=False, size=args.size)
    networks: dict[str, Any] = {
        "default": {}, "average pooling": {"pooling": "average"}, "direct convolution": {"convolution": "xla"},
    }  # fmt: skip
    losses = {
        name: nst_jax.make_loss(args.content, args.style, network=changes, size=args.size)[0]
        for name, changes in networks.items()
    }
    content = np.asarray(resize(read_image(args.content).pixels, made.pixels.shape[:2]))
    style = np.asarray(read_image(args.style).pixels)
    for step in sorted({min(seen, key=lambda other: abs(other - each)) for each in wanted}):
        pixels = seen[step]
        detail = (pixels - blurred(pixels, 1.0)) * flat(content)
        row: dict[str, Any] = {"step": step, "noise": round(noise(pixels, content, style), 3)}
        for name, loss in losses.items():
            if name != "default" and step != max(seen):
                continue
            found = forces(loss, jnp.asarray(pixels), detail)
            found["all"] = sum(found.values())
            row[name] = {part: round(1e3 * force, 2) for part, force in found.items()}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
