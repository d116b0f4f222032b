"""Experiment 005: the tables and figures of the inversion paper, on pictures of Python packages.

    pip install -e ".[inversion,lpips]"
    python -m experiments.lib.inversion scales     # writes nst_jax/invert/scales.json
    python -m experiments.lib.inversion ours momentum lbfgs table3 restarts fields layers

Results grow in experiments/005-inversion/results.jsonl, a line for each layer, λ_V and solver; what is there is not done again.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib.inversion_pictures import INVERTED, REFERENCE, gray, picture
from nst_jax.images.files import write_image
from nst_jax.invert.config import InvertConfig, to_job, usual_tv_weight
from nst_jax.invert.neurons import Neurons, choose
from nst_jax.invert.objective import PriorWeights
from nst_jax.invert.representation import DESCRIPTORS, code, mean_color
from nst_jax.invert.restarts import noise
from nst_jax.invert.run import beside, field_of, mean_pairwise_distance, outline, scale_of
from nst_jax.networks import load
from nst_jax.networks.convnet import NetworkSpec, features, layer_names
from nst_jax.networks.params import store as weights
from nst_jax.optimize.loop import Metrics, State, init_state, run_chunk
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.types import Params, Pixels

FOLDER = Path(__file__).parents[1] / "005-inversion"
SCALES = Path(__file__).parents[2] / "nst_jax" / "invert" / "scales.json"
LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
# Of L-BFGS, for networks and for descriptors.
LBFGS_STEPS, LBFGS_DESCRIPTOR_STEPS = 200, 400


def scales() -> None:
    """The mean pairwise distance of the reference pictures' codes, for every layer of every network that is here."""
    found = {"descriptors": {name: _distance({}, name, NetworkSpec()) for name in DESCRIPTORS}}
    for name in ("alexnet", "vgg16", "vgg19"):
        network = load(name)
        taps = layer_names(network.spec.architecture)
        maps = [features(network.params, jnp.asarray(picture(one)), taps, spec=network.spec) for one in REFERENCE]
        distances = {tap: float(f"{mean_pairwise_distance([m[tap] for m in maps]):.6g}") for tap in taps}
        found[weights.file_sha256(name)] = distances
    SCALES.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _distance(params: Params, layer: str, network: NetworkSpec) -> float:
    encode = jax.jit(lambda x: code(params, x, layer, network=network))
    return float(f"{mean_pairwise_distance([encode(gray(picture(one))) for one in REFERENCE]):.6g}")


def ours() -> None:
    """The descriptors, and AlexNet's layers at the usual λ_V, with the default solver."""
    _usual("adam")


def momentum() -> None:
    """The same with the paper's schedule."""
    _usual("momentum")


def lbfgs() -> None:
    """The same with L-BFGS."""
    _usual("lbfgs")


def _usual(solver: str) -> None:
    for name in DESCRIPTORS:
        _errors(name, name, 0.5, solver)
    for layer in LAYERS:
        _errors("alexnet", layer, usual_tv_weight(layer), solver)


def layers() -> None:
    """The other layers of AlexNet, at the usual λ_V."""
    for layer in layer_names("alexnet"):
        _errors("alexnet", layer, usual_tv_weight(layer), "adam")


def table3() -> None:
    """AlexNet's layers at the three λ_V of the paper."""
    for layer in LAYERS:
        for tv in (0.5, 5.0, 50.0):
            _errors("alexnet", layer, tv, "adam")


def restarts() -> None:
    """Six starts of one picture at three depths, as in Fig. 7."""
    for layer, tv in (("relu2", 0.5), ("relu4", 5.0), ("relu5", 50.0)):
        found = _invert("alexnet", layer, tv, "adam", [picture("astronaut")] * 6, Neurons())
        write_image(FOLDER / f"restarts-{layer}.jpg", beside([picture("astronaut"), *found["pictures"]]))


def fields() -> None:
    """The central 5 x 5 positions, and the halves of the channels, as in Figs. 9 and 10."""
    content = picture("coffee")
    for layer, tv in (("relu2", 5.0), ("relu4", 5.0)):
        shape = _shape("alexnet", layer)
        center = choose(shape, 5, None, None)
        found = _invert("alexnet", layer, tv, "adam", [content], center)
        drawn = outline(content, field_of(layer, "alexnet"), center)
        write_image(FOLDER / f"field-{layer}.jpg", beside([drawn, *found["pictures"]]))
    for layer, tv in (("relu1", 0.5), ("relu2", 0.5)):
        halves = [choose(_shape("alexnet", layer), None, None, half) for half in ("first_half", "last_half")]
        shown = [_invert("alexnet", layer, tv, "adam", [content], half)["pictures"][0] for half in halves]
        write_image(FOLDER / f"channels-{layer}.jpg", beside([content, *shown]))


def seconds() -> None:
    """Seconds a step of one picture by each solver, and of six in one program by ours; on a machine at rest."""
    for name, layer in (*((one, one) for one in DESCRIPTORS), *(("alexnet", one) for one in LAYERS), ("vgg19", "relu4_2")):
        found = {solver: _seconds_a_step(name, layer, solver, 1) for solver in ("adam", "momentum", "lbfgs")}
        found["six"] = _seconds_a_step(name, layer, "adam", 6)
        print(layer, {key: round(value, 4) for key, value in found.items()}, flush=True)


def _seconds_a_step(name: str, layer: str, solver: str, count: int, steps: int = 20) -> float:
    """The median of five, after one that does not count."""
    inputs, run = _program(name, layer, usual_tv_weight(layer), solver, count * [_content(name, "astronaut")], Neurons(), steps)
    spent = []
    for _ in range(6):
        states = jax.block_until_ready(inputs.start())
        began = time.perf_counter()
        jax.block_until_ready(run(states))
        spent.append(time.perf_counter() - began)
    return float(np.median(spent[1:])) / steps


def _content(name: str, one: str) -> Pixels:
    return gray(picture(one)) if name in DESCRIPTORS else picture(one)


def _shape(name: str, layer: str) -> tuple[int, ...]:
    network = load(name, taps=(layer,))
    return features(network.params, jnp.asarray(picture("coffee")), (layer,), spec=network.spec)[layer].shape


def _errors(name: str, layer: str, tv: float, solver: str) -> None:
    """One line of results: the paper's error of each of the ten pictures, in percent."""
    file = FOLDER / "results.jsonl"
    key = {"representation": name, "layer": layer, "tv_weight": tv, "solver": solver}
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if any(key.items() <= line.items() for line in done):
        return
    contents = [_content(name, one) for one in INVERTED]
    found = _invert(name, layer, tv, solver, contents, Neurons())
    write_image(FOLDER / f"{layer}-{tv:g}-{solver}.jpg", beside([found["pictures"][i] for i in (0, 1, 2, 8, 9)]))
    line = key | {name: found[name] for name in ("errors", "losses", "steps", "seconds")}
    with file.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(key, f"{np.mean(found['errors']):.2f}", found["seconds"], flush=True)


class _Program(NamedTuple):
    """What a program is run with."""

    targets: jax.Array
    start: Callable[[], State]
    sha256: str | None


def _program(
    name: str, layer: str, tv: float, solver: str, contents: list[Pixels], neurons: Neurons, steps: int | None = None
) -> tuple[_Program, Callable[[State], tuple[State, Metrics, jax.Array]]]:
    """The compiled inversion of several pictures, each from noise of its own."""
    network = None if name in DESCRIPTORS else load(name, taps=(layer,))
    params, spec = (network.params, network.spec) if network else ({}, NetworkSpec())
    if steps is None and solver == "lbfgs":
        steps = LBFGS_DESCRIPTOR_STEPS if network is None else LBFGS_STEPS
    job = to_job(InvertConfig(tv_weight=tv, solver=solver, steps=steps), layer, spec, neurons, contents[0].size)
    count, objective = job.scales[0].steps, job.objective
    priors = PriorWeights(*(jnp.float32(weight) for weight in job.loss_weights))
    targets = jnp.stack([jax.jit(objective.targets)(params, jnp.asarray(content)) for content in contents])
    starts = jnp.stack(
        [jnp.asarray(start) for start in noise(0, contents[0].shape, mean_color(params), len(contents), gray=network is None)]
    )
    begin = jax.jit(jax.vmap(functools.partial(init_state, solver=job.solver, terms=objective.terms)))
    one = functools.partial(run_chunk, spec=objective, solver=job.solver, capacity=count)
    several = jax.jit(jax.vmap(one, in_axes=(None, 0, 0, None, None)))
    compiled = several.lower(params, begin(starts), targets, priors, jnp.int32(count)).compile()
    inputs = _Program(targets, lambda: begin(starts), weights.file_sha256(name) if network else None)
    return inputs, lambda states: compiled(params, states, targets, priors, jnp.int32(count))


def _invert(name: str, layer: str, tv: float, solver: str, contents: list[Pixels], neurons: Neurons) -> dict[str, Any]:
    """Inverts the codes of several pictures in one program."""
    inputs, run = _program(name, layer, tv, solver, contents, neurons)
    states = jax.block_until_ready(inputs.start())
    began = time.process_time()
    states, metrics, made = jax.block_until_ready(run(states))
    spent = time.process_time() - began  # of the processor: other programs may have a share of it
    energies = jnp.mean(inputs.targets.reshape(len(contents), -1) ** 2, axis=1)
    errors = 100 * states.terms["content"] * energies / (scale_of(inputs.sha256, layer) or np.nan)
    count = int(made.max())
    return {
        "errors": np.round(errors, 3).tolist(),
        "losses": np.asarray(metrics["loss"]).mean(0)[:: max(1, count // 40)].round(5).tolist(),
        "steps": count,
        "seconds": round(spent, 1),
        "pictures": [np.clip(np.asarray(image), 0, 1) for image in states.image],
    }


def main() -> None:
    """Runs the parts that are named."""
    parts = {part.__name__: part for part in (scales, ours, momentum, lbfgs, table3, restarts, fields, layers, seconds)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=parts)
    use_compilation_cache()
    for part in parser.parse_args().parts:
        parts[part]()


if __name__ == "__main__":
    main()
