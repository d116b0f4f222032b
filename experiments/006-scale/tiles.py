"""Tiles against the whole picture: the loss, its gradient, the time of an evaluation, and the memory of it.

    python experiments/006-scale/tiles.py --size 1024 --tiles 0,512 --repeats 3
    python experiments/006-scale/tiles.py --size 4096 --tiles 512 --repeats 1

A picture of noise of 4:3 at the longer side `--size`; Gram matrices of relu1_1 ... relu5_1, content of relu4_2. "blocks" is the
whole picture with `network.remat=blocks`. Peak memory is the process's during the evaluations, after compiling (Linux).
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import networks
from nst_jax.cache import use_compilation_cache
from nst_jax.memory import give_back
from nst_jax.objective.objective import LossWeights, ObjectiveSpec, Styles, loss, make_targets

STYLE = tuple(f"relu{i}_1" for i in range(1, 6))


def main() -> None:
    """One line of JSON for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--tiles", default="0,512", help="0 is the whole picture, blocks the same with remat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pooling", default="max")
    options = parser.parse_args()
    use_compilation_cache()
    found = {tile: evaluation(options.size, tile, options.pooling) for tile in options.tiles.split(",")}
    image = jnp.asarray(np.random.default_rng(0).random((1, options.size * 3 // 4, options.size, 3), np.float32))
    peaks, results = {}, {}
    for tile, (run, _) in found.items():
        forget_peak()
        before = peak_gib()
        results[tile] = jax.block_until_ready(run(image))
        peaks[tile] = peak_gib()
        print(f"resident before: {before:.2f} GiB", file=sys.stderr)
    seconds: dict[str, list[float]] = {tile: [] for tile in found}
    for _ in range(options.repeats):
        for tile, (run, _) in found.items():
            began = time.perf_counter()
            jax.block_until_ready(run(image))
            seconds[tile].append(time.perf_counter() - began)
    first = next(iter(results.values()))
    for tile, (value, gradient) in results.items():
        row: dict[str, Any] = {"size": options.size, "tile": tile, "pooling": options.pooling, "loss": float(value)}
        row |= {"compile_s": round(found[tile][1], 1), "seconds": round(statistics.median(seconds[tile] or [0]), 3)}
        row |= {"loss_error": abs(float(value / first[0]) - 1)}
        row |= {"gradient_error": float(jnp.linalg.norm(gradient - first[1]) / jnp.linalg.norm(first[1]))}
        row |= {"peak_gib": round(peaks[tile], 2)}
        print(json.dumps(row), flush=True)


def evaluation(size: int, tile: str, pooling: str) -> tuple[Any, float]:
    """Loss and gradient as one compiled function of the image, and the seconds of compiling it."""
    net = networks.load("vgg19", pooling=pooling, remat="blocks" if tile == "blocks" else "none")
    spec = ObjectiveSpec(net.spec, ("relu4_2",), STYLE, tile=0 if tile == "blocks" else int(tile))
    generator = np.random.default_rng(1)
    content, style = (jnp.asarray(generator.random((1, n * 3 // 4, n, 3), np.float32)) for n in (size, min(size, 1024)))
    targets = jax.jit(make_targets, static_argnames="spec")(net.params, content, Styles((style,)), spec=spec)
    weights = LossWeights({"relu4_2": jnp.float32(1e-3)}, {name: jnp.float32(0.2) for name in STYLE}, jnp.float32(0))
    began = time.perf_counter()
    evaluate: Any = jax.jit(jax.value_and_grad(lambda x, params, *rest: loss(params, x, *rest, spec=spec)[0]))
    compiled = evaluate.lower(content, net.params, targets, weights).compile()
    give_back()
    print(f"temporary memory of {tile}: {compiled.memory_analysis().temp_size_in_bytes / 2**30:.2f} GiB", file=sys.stderr)
    return lambda image: compiled(image, net.params, targets, weights), time.perf_counter() - began


def forget_peak() -> None:
    """From here on the peak of the process's memory is measured anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_gib() -> float:
    """The largest resident memory of the process since then."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


if __name__ == "__main__":
    main()
