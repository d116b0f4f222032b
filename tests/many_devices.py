"""A picture shared by eight devices against the same on one: prints a line of JSON for each case. Run by `test_shards.py`."""

import json
import os
import re
from typing import Any

if __name__ == "__main__":  # and not where the tests are collected
    os.environ["JAX_NUM_CPU_DEVICES"] = "8"

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import job, networks
from nst_jax.job.compile import compile_programs
from nst_jax.networks.convnet import ConvNet, NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.optimize.solver import SolverSpec, solver_spec
from nst_jax.partition import WHOLE, ExecutionPlan

jax.config.update("jax_enable_compilation_cache", False)
SHALLOW, DEEP = ("relu1_1", "relu2_1"), ("relu1_1", "relu3_1", "relu5_1")
KEPT: dict[tuple[str, str], Any] = {}


def picture(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32)


def params_of(network: NetworkSpec, layers: tuple[str, ...]) -> Any:
    key = network.architecture, network.convolution
    if key not in KEPT and network.architecture == "vgg19":
        KEPT[key] = networks.load("vgg19", convolution=network.convolution, taps=layers).params
    elif key not in KEPT:  # drawn
        KEPT[key] = jax.jit(ConvNet(network, layers).init)(jax.random.key(0), jnp.zeros((1, 99, 99, 3)))["params"]
    return KEPT[key]


def weights_for(spec: ObjectiveSpec, regions: int = 1) -> LossWeights:
    content = {name: jnp.float32(1e-3) for name in spec.content_layers}
    style = {name: jnp.float32(1 / len(spec.style_layers)) for name in spec.style_layers}
    return LossWeights(content, style, jnp.float32(0.1), tuple(jnp.float32(1) for _ in range(regions)))


def compare(name: str, devices: int, size: tuple[int, int], *, masks: bool = False, **options: Any) -> None:
    """The loss and the gradient of one objective on one device and on several."""
    layers = {"content_layers": options.pop("content", ("relu2_1",)), "style_layers": options.pop("style", SHALLOW)}
    distance, remat, tile = options.pop("distance", "gram"), options.pop("remat", "none"), options.pop("tile", 0)
    settings: dict[str, Any] = {"pooling": "average", "convolution": "winograd"} | options
    network = NetworkSpec(**settings)
    image, content = picture(0, *size), picture(1, *size)
    styles: Any = (picture(2, 60, 90), picture(3, 40, 33))[: 2 if masks else 1]
    left = (np.arange(size[1]) < 23)[None, None, :, None] * np.ones((1, *size, 1), np.float32)
    regions: Any = np.concatenate([left, 1 - left]).astype(np.float32) if masks else None
    params = params_of(network, ("relu5_1",) if network.architecture == "vgg19" else ("relu5",))
    found = []
    spec = ObjectiveSpec(network, **layers, style_distance=distance)
    for plan in (WHOLE, ExecutionPlan(remat, tile, devices)):

        @jax.jit
        def run(params: Any, image: Any, plan: ExecutionPlan = plan) -> Any:
            targets = make_targets(params, jnp.asarray(content), Styles(styles, regions=regions), spec=spec, plan=plan)
            weights = weights_for(spec, 2 if masks else 1)
            return jax.value_and_grad(lambda x: loss(params, x, targets, weights, spec=spec, plan=plan)[0])(image)

        value, gradient = run(params, image)
        found.append((float(value), np.asarray(gradient, np.float64)))
    (value, gradient), (shared, gradient_shared) = found
    tell(name, loss=abs(shared / value - 1), gradient=np.linalg.norm(gradient_shared - gradient) / np.linalg.norm(gradient))


def whole_job(name: str, devices: int, size: tuple[int, int], solver: SolverSpec) -> None:
    """A job of two scales, and how much of its state each device has."""
    pictures = job.Inputs(picture(1, *size), (picture(2, 64, 64),))
    results, parts = [], 0.0
    for number in (1, devices):
        network = NetworkSpec(pooling="average", convolution="winograd")
        objective = ObjectiveSpec(network, ("relu2_1",), SHALLOW, convention="mean")
        scales = (job.Scale(max(size) // 2, 3), job.Scale(max(size), 4))
        weights: Any = LossWeights({"relu2_1": 0.3}, dict.fromkeys(SHALLOW, 0.5), 1.0)  # pyright: ignore[reportArgumentType]
        spec = job.JobSpec(objective, weights, solver, scales, plans=(ExecutionPlan(devices=number),) * 2)
        results.append(job.transfer(params_of(network, ("relu5_1",)), pictures, spec).pixels)
        stage = job.make_stages(pictures, spec)[-1]
        programs = compile_programs(job.compile_key(params_of(network, ("relu5_1",)), stage, spec)).programs
        if number > 1:
            state = programs.start(programs_start_of(stage, spec), stage.detail)
            images = [leaf for leaf in jax.tree.leaves(state) if leaf.shape[-3:] == stage.content.shape[1:]]
            parts = max(leaf.addressable_shards[0].data.size / leaf.size for leaf in images)
    tell(name, picture=float(np.abs(results[1] - results[0]).max()), parts=parts)


def programs_start_of(stage: job.Stage, spec: job.JobSpec) -> Any:
    """A state of zeros at the scale before."""
    before = jax.ShapeDtypeStruct((1, *stage.before, 3), jnp.float32)  # pyright: ignore
    shapes = job.state_shapes(stage._replace(content=before), spec)  # pyright: ignore
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def exchanged(name: str, devices: int, size: tuple[int, int]) -> None:
    """How often neighbors send each other rows in the compiled gradient."""
    spec, plan = ObjectiveSpec(NetworkSpec(convolution="winograd"), (), SHALLOW), ExecutionPlan(devices=devices)
    params = params_of(spec.network, ("relu5_1",))
    style: Any = Styles((picture(2, *size),))  # pyright: ignore[reportArgumentType]
    targets = jax.jit(make_targets, static_argnames=("spec", "plan"))(params, picture(1, *size), style, spec=spec, plan=plan)
    gradient = jax.jit(jax.grad(lambda x: loss(params, x, targets, weights_for(spec), spec=spec, plan=plan)[0]))
    text = gradient.lower(picture(0, *size)).compile().as_text() or ""
    tell(name, sends=len(re.findall(r"= \S+ collective-permute(?:-start)?\(", text)))


def tell(name: str, **numbers: Any) -> None:
    print(json.dumps({"case": name} | {key: float(value) for key, value in numbers.items()}), flush=True)


if __name__ == "__main__":
    deep = {"style": DEEP, "content": ("relu4_2",)}
    compare("deep, and more devices than rows", 8, (75, 40), padding="replicate", padding_at="first", **deep)
    compare("even", 4, (64, 40))
    for padding in ("replicate", "reflect"):
        compare(padding, 5, (75, 40), padding=padding)
    compare("by XLA", 3, (75, 40), convolution="xla")
    compare("masks, two styles", 3, (71, 50), masks=True, distance="wasserstein")
    compare("masks, two styles, neighbors", 3, (71, 50), masks=True, distance="neighbors")
    joined: dict[str, Any] = {"style": ("relu1_1+relu2_1",), "content": ("relu3_1",)}
    compare("a hypercolumn, more rows than positions", 3, (71, 50), distance="wasserstein", **joined)
    compare("computed anew", 4, (64, 40), remat="blocks", content=("relu3_1",))
    compare("alexnet", 3, (131, 100), architecture="alexnet2012", style=("relu1", "relu4"), content=("relu2",))
    compare("tiles", 3, (30, 100), tile=32, masks=True)
    whole_job("rows", 4, (64, 50), SolverSpec("adam"))
    whole_job("columns", 4, (50, 64), solver_spec("lbfgs", dct_floor=0.05))
    exchanged("sends", 4, (64, 40))
