"""Tiles against the whole picture: the loss, its gradient, the time of an evaluation, and the memory of it.

    python experiments/006-scale/tiles.py --size 1024 --tiles 0,512 --repeats 3
    python experiments/006-scale/tiles.py --size 4096 --tiles 512 --repeats 1

A picture of noise of 4:3 at the longer side `--size`; Gram matrices of relu1_1 ... relu5_1, content of relu4_2. "blocks" is the
whole picture with `network.remat=blocks`. Peak memory is the process's during an evaluation, after
compiling (Linux). Without a size it makes memory.png of results.jsonl, which holds what was printed.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from nst_jax import networks
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.partition import ExecutionPlan
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.memory import trim_heap

FOLDER = Path(__file__).parent
STYLE = tuple(f"relu{i}_1" for i in range(1, 6))


def main() -> None:
    """One line of JSON for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, help="longer side in pixels; without it, draws")
    parser.add_argument("--tiles", default="0,512", help="0 is the whole picture, blocks the same with remat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pooling", default="max")
    options = parser.parse_args()
    if options.size is None:
        return draw()
    use_compilation_cache()
    found = {tile: evaluation(options.size, tile, options.pooling) for tile in options.tiles.split(",")}
    image = jnp.asarray(np.random.default_rng(0).random((1, options.size * 3 // 4, options.size, 3), np.float32))
    peaks, results = {}, {}
    for tile, (run, _) in found.items():
        forget_peak()
        before = peak_gib()
        results[tile] = jax.block_until_ready(run(image))
        peaks[tile] = before, peak_gib()
    seconds: dict[str, list[float]] = {tile: [] for tile in found}
    for _ in range(options.repeats):
        for tile, (run, _) in found.items():
            began = time.perf_counter()
            jax.block_until_ready(run(image))
            seconds[tile].append(time.perf_counter() - began)
    first = next(iter(results.values()))
    for tile, (value, gradient) in results.items():
        row: dict[str, Any] = {"size": options.size, "tile": tile, "pooling": options.pooling, "loss": float(value)}
        row |= found[tile][1] | {"seconds": round(statistics.median(seconds[tile] or [0]), 3)}
        row |= {"loss_error": abs(float(value / first[0]) - 1)}
        row |= {"gradient_error": float(jnp.linalg.norm(gradient - first[1]) / jnp.linalg.norm(first[1]))}
        row |= {"before_gib": round(peaks[tile][0], 2), "peak_gib": round(peaks[tile][1], 2)}
        print(json.dumps(row), flush=True)


def evaluation(size: int, tile: str, pooling: str) -> tuple[Any, dict[str, float]]:
    """Loss and gradient as one compiled function of the image; the seconds of compiling it, and its temporary memory."""
    net = networks.load("vgg19", pooling=pooling)
    spec = ObjectiveSpec(net.spec, ("relu4_2",), STYLE)
    plan = ExecutionPlan("blocks") if tile == "blocks" else ExecutionPlan(tile=int(tile))
    generator = np.random.default_rng(1)
    content, style = (jnp.asarray(generator.random((1, n * 3 // 4, n, 3), np.float32)) for n in (size, min(size, 1024)))
    targets = jax.jit(make_targets, static_argnames=("spec", "plan"))(
        net.params, content, Styles((style,)), spec=spec, plan=plan
    )
    weights = LossWeights({"relu4_2": jnp.float32(1e-3)}, {name: jnp.float32(0.2) for name in STYLE}, jnp.float32(0))
    began = time.perf_counter()
    evaluate: Any = jax.jit(jax.value_and_grad(lambda x, params, *rest: loss(params, x, *rest, spec=spec, plan=plan)[0]))
    compiled = evaluate.lower(content, net.params, targets, weights).compile()
    trim_heap()
    facts = {"compile_s": round(time.perf_counter() - began, 1)}
    facts["temporary_gib"] = round(compiled.memory_analysis().temp_size_in_bytes / 2**30, 2)
    return lambda image: compiled(image, net.params, targets, weights), facts


def draw() -> None:
    """The temporary memory of an evaluation against the pixels."""
    rows = [json.loads(line) for line in (FOLDER / "results.jsonl").read_text("utf-8").splitlines()]
    figure = Figure(figsize=(6, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    for tile, color in (("0", "#D55E00"), ("512", "#0072B2")):
        points = sorted((row["size"] ** 2 * 0.75 / 1e6, row["temporary_gib"]) for row in rows if row["tile"] == tile)
        axes.plot(*zip(*points, strict=True), "o-", color=color, label="whole" if tile == "0" else f"tiles of {tile} px")
    axes.set(xlabel="megapixels", ylabel="temporary memory of an evaluation, GiB", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(FOLDER / "memory.png")


def forget_peak() -> None:
    """From here on the peak of the process's memory is measured anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_gib() -> float:
    """The largest resident memory of the process since then."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


if __name__ == "__main__":
    main()
