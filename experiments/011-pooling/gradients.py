"""The gradient of each layer's loss at the image, under average and under max pooling, in Markdown.

python experiments/011-pooling/gradients.py
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib.figures import markdown
from nst_jax.evaluate.pixels import checkerboard
from nst_jax.images.files import fit_long_side, resize
from nst_jax.images.named import find_image
from nst_jax.networks import Network, load
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles
from nst_jax.system.compilation_cache import use_compilation_cache

POOLINGS = {
    "max": {"pooling": "max"},
    "average": {"pooling": "average"},
    "average, 1.6": {"pooling": "average", "pooling_scale": 1.6},
}
LAYERS = tuple(f"relu{i}_1" for i in range(1, 6))
TERMS = ("style", "content")
SIZE = 128


def gradients(network: Network, pictures: list[np.ndarray], start: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """By term and layer, ∇ log L of the loss of that layer alone, at `start`: one program, with one weight 1 at a time."""
    spec = ObjectiveSpec(network.spec, LAYERS, LAYERS, convention="mean")
    content, style = map(jnp.asarray, pictures)
    targets = jax.jit(spec.targets)(network.params, content, Styles((style,)))
    gradient_of = jax.jit(jax.value_and_grad(lambda x, p, t, w: spec.loss(p, x, t, w)[0]))
    found = {}
    for term, layer in itertools.product(TERMS, LAYERS):
        chosen = {name: {one: jnp.float32((name, one) == (term, layer)) for one in LAYERS} for name in TERMS}
        weights = LossWeights(chosen["content"], chosen["style"], jnp.float32(0))
        value, gradient = jax.device_get(gradient_of(jnp.asarray(start), network.params, targets, weights))
        found[term, layer] = gradient / value
    return found


def measures(gradient: np.ndarray) -> dict[str, float]:
    """What a gradient is like.

    * norm: ‖∇ log L‖ / √(number of entries), for a picture in [0, 1];
    * high: the share of its energy above half of the highest frequency, in either direction; white noise has 0.75;
    * checkerboard: see `nst_jax.evaluate.pixels.checkerboard`; white noise has 1.
    """
    norm = float(np.linalg.norm(gradient) / np.sqrt(gradient.size))
    return {"norm": norm, "high": high_share(gradient), "checkerboard": checkerboard(gradient)}


def high_share(x: np.ndarray) -> float:
    """The share of the energy of `x` at frequencies above a quarter of a cycle per pixel, in either direction.

    Example:
        >>> high_share((np.indices((8, 8)).sum(0) % 2)[None, :, :, None] - 0.5)
        1.0
    """
    power = np.sum(np.abs(np.fft.fft2(x[0], axes=(0, 1))) ** 2, axis=-1)
    rows, columns = (np.abs(np.fft.fftfreq(n)) > 0.25 for n in power.shape)
    return float(power[rows[:, None] | columns[None]].sum() / power.sum())


def main() -> None:
    """Prints a table for either term, at a picture half way from the content to noise."""
    use_compilation_cache()
    originals = [find_image(name).pixels for name in ("tubingen", "starry")]
    content, style = (resize(x, fit_long_side(x.shape[1], x.shape[2], SIZE)) for x in originals)
    start = (content + np.random.default_rng(0).random(content.shape, np.float32)) / 2
    networks = {name: load("vgg19", taps=LAYERS, **options) for name, options in POOLINGS.items()}
    found = {name: gradients(network, [content, style], start) for name, network in networks.items()}
    for term in TERMS:
        rows = [{term: layer} | _row({name: by[term, layer] for name, by in found.items()}) for layer in LAYERS]
        print(markdown(rows), end="\n\n")


def _row(by_pooling: dict[str, np.ndarray]) -> dict[str, Any]:
    measured = {name: measures(gradient) for name, gradient in by_pooling.items()}
    return {f"{key}, {name}": measured[name][key] for key in ("norm", "high", "checkerboard") for name in measured}


if __name__ == "__main__":
    main()
