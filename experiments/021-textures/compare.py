"""Textures by sliced Wasserstein distances as Heitz et al. published them, beside `experiment=texture`; prints JSON lines.

    python experiments/021-textures/compare.py OUT PICTURE... [--size 128] [--rounds 5] [--systems heitz,fixed,...]

All start from the same noise and take the same number of evaluations.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import nst_jax
from nst_jax.api import Loss
from nst_jax.evaluate import scores
from nst_jax.images.files import read_image, resize, write_image
from nst_jax.networks.convnet import features
from nst_jax.objective.sliced import Projections, projections, sliced_distance
from nst_jax.optimize import lbfgs
from nst_jax.types import Image

# All maps of the first four blocks, each counting 1; average pooling, reflected borders.
MAPS = tuple(f"relu{block}_{i}" for block, count in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, count + 1))
HEITZ: dict[str, Any] = {
    "loss": {"style_layers": list(MAPS), "style_layer_weights": "equal", "style_distance": "sliced_wasserstein"}
    | {"tv_weight": 0, "color_weight": 0},
    "network": {"pooling": "average", "padding": "reflect", "padding_at": "all"},
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "heitz": HEITZ,
    "heitz-smooth": HEITZ | {"loss": HEITZ["loss"] | {"tv_weight": 2}},
    "fixed": HEITZ,
    "texture": {},
    "texture-sliced": {"loss": {"style_distance": "sliced_wasserstein"}},
    "gram": {"loss": {"style_distance": "gram"}},
}
# Evaluations until new directions are drawn.
ROUND = 64
UNSEEN = range(100, 104)


def at_size_of(image: Image, path: Path) -> Image:
    """The picture of a file at the size of another."""
    _, height, width, _ = image.shape
    return jnp.asarray(resize(read_image(path).pixels, (height, width)))


def directed(maps: dict[str, Float[Array, "1 h w c"]], seed: int) -> dict[str, Projections]:
    """What the maps are along orthogonal directions drawn with a seed."""
    keys = jax.random.split(jax.random.key(seed), len(maps))
    return {
        name: projections(values, None, jax.random.orthogonal(key, values.shape[-1]))
        for (name, values), key in zip(maps.items(), keys, strict=True)
    }


@jax.jit
def step(loss: Loss, image: Image, state: optax.OptState) -> tuple[Image, optax.OptState, Float[Array, ""]]:
    """One evaluation and the move after it."""
    value, gradient = jax.value_and_grad(loss)(image)
    moves, state = lbfgs().update(gradient, state, image, value=value)
    return optax.apply_updates(image, moves), state, value  # pyright: ignore[reportReturnType]


def paint(path: Path, system: str, size: int, rounds: int) -> tuple[Image, float]:
    """A texture of a picture, from noise, and the seconds of its steps without those of the first, which compiles."""
    loss, image = nst_jax.make_loss(path, path, size=size, experiment="texture", scales=1, steps=1, **SYSTEMS[system])
    style = at_size_of(image, path)
    maps = features(loss.params, style, MAPS, spec=loss.spec.network) if system.startswith("heitz") else {}
    seconds = 0.0
    for number in range(rounds):
        if maps:
            redrawn = {name: (found,) for name, found in directed(maps, number).items()}  # of the only region
            loss = dataclasses.replace(loss, targets=loss.targets._replace(style=redrawn))
        state = lbfgs().init(image)
        for i in range(ROUND):
            began = time.perf_counter()
            image, state, value = step(loss, image, state)
            value.block_until_ready()
            seconds += (time.perf_counter() - began) * (number + i > 0)
        image = jnp.clip(image, 0, 1)
    return image, seconds


def unseen(params: Any, style: Image, image: Image, spec: Any) -> float:
    """The mean over maps and unseen directions of the squared distance, in units of the variance along these directions."""
    found = []
    of_style, of_image = (features(params, x, MAPS, spec=spec) for x in (style, image))
    for seed in UNSEEN:
        for target, other in zip(directed(of_style, seed).values(), directed(of_image, seed).values(), strict=True):
            found.append(sliced_distance(other, target) / jnp.mean(jnp.var(target.parts, 0)))
    return float(jnp.mean(jnp.stack(found)))


def main() -> None:
    """Paints each picture by each system and scores it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in args.pictures:
        judge, start = nst_jax.make_loss(path, path, size=args.size, experiment="texture", scales=1, steps=1, **HEITZ)
        style = at_size_of(start, path)
        for system in args.systems.split(","):
            image, seconds = paint(path, system, args.size, args.rounds)
            write_image(args.out / f"{path.stem}-{system}.png", jax.device_get(image))
            found = scores(jax.device_get(style), jax.device_get(style), jax.device_get(image))
            row = {name: round(found[name], 4) for name in ("style_w2_vgg16", "style_w2_alex", "color_w2", "tv_ratio")}
            row["unseen"] = round(unseen(judge.params, style, image, judge.spec.network), 5)
            print(json.dumps({"picture": path.stem, "system": system, "seconds": round(seconds, 1)} | row), flush=True)


if __name__ == "__main__":
    main()
