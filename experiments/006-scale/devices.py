"""Eight simulated devices against one: loss, gradient, the bytes that a step sends; and what GPUs should make of it.

    python experiments/006-scale/devices.py --size 512
    python experiments/006-scale/devices.py --estimate

A picture of noise of 4:3; Gram matrices of relu1_1 ... relu5_1, content of relu4_2, as in tiles.py.
"""

import argparse
import json
import os
import re
from typing import Any

DEVICES = 8
os.environ["JAX_NUM_CPU_DEVICES"] = str(DEVICES)

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax import networks
from nst_jax.networks.architectures import ARCHITECTURES, Conv, extent, names_of
from nst_jax.networks.ops.halo import halo
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.partition import ExecutionPlan
from nst_jax.partition.windows import lengths

STYLE = tuple(f"relu{i}_1" for i in range(1, 6))
# Of an H100: TF32 products at a third of 494 TFLOP/s, memory at 3.3 TB/s, NVLink 450 GB/s each way, between machines 50.
FLOPS, MEMORY, LINK, NETWORK, ROOM = 165e12, 3.3e12, 450e9, 50e9, 80e9 * 0.9
# For each pixel: operations of a step (direct convolution, twice), bytes of maps and of the solver that stay, bytes moved.
FLOP, MAPS, STATE, MOVED = 1.44e6, 2300, 480, 10_000


def main() -> None:
    """Compares, or estimates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--estimate", action="store_true")
    options = parser.parse_args()
    if options.estimate:
        return estimate()
    size = (options.size * 3 // 4, options.size)
    (value, gradient, _), (shared, gradient_shared, text) = (evaluation(size, number) for number in (1, DEVICES))
    difference = np.linalg.norm(gradient_shared - gradient) / np.linalg.norm(gradient)
    print(json.dumps({"size": size, "loss_error": abs(shared / value - 1), "gradient_error": float(difference)}))
    print(json.dumps({"sent": sent(text), "least": least(size[1], DEVICES)}))


def evaluation(size: tuple[int, int], devices: int) -> tuple[float, np.ndarray, str]:
    """Loss, gradient, and the compiled program's text."""
    net = networks.load("vgg19", pooling="average", convolution="xla")
    spec, plan = ObjectiveSpec(net.spec, ("relu4_2",), STYLE), ExecutionPlan(devices=devices)
    image, content, style = np.random.default_rng(1).random((3, 1, *size, 3), np.float32)
    targets = jax.jit(make_targets, static_argnames=("spec", "plan"))(
        net.params, content, Styles((style,)), spec=spec, plan=plan
    )
    weights = LossWeights({"relu4_2": jnp.float32(1e-3)}, {name: jnp.float32(0.2) for name in STYLE}, jnp.float32(0))
    function: Any = jax.jit(jax.value_and_grad(lambda x, params, *rest: loss(params, x, *rest, spec=spec, plan=plan)[0]))
    compiled = function.lower(image, net.params, targets, weights).compile()
    value, gradient = compiled(image, net.params, targets, weights)
    return float(value), np.asarray(gradient, np.float64), compiled.as_text() or ""


def sent(text: str) -> dict[str, int]:
    """Bytes that all devices send in a program: rows to neighbors, and sums (each device's, once)."""
    found = {"collective-permute": 0, "all-reduce": 0, "all-gather": 0, "all-to-all": 0}
    for shapes, kind, rest in re.findall(r"= (\S.*?) (collective-permute|all-reduce|all-gather|all-to-all)\((.*)", text):
        counts = [int(np.prod([int(n) for n in shape.split(",") if n])) for shape in re.findall(r"f32\[([\d,]*)\]", shapes)]
        pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", rest)
        found[kind] += 4 * sum(counts) * (pairs[1].count("{") if pairs else DEVICES)
    return found


def least(width: int, devices: int) -> int:
    """Bytes of the outermost rows that each convolution needs of its neighbors' input, there, and of their gradients, back."""
    rows, channels, before = 0, 3, ""
    widths = lengths("vgg19", STYLE, width)
    for layer in ARCHITECTURES["vgg19"]:
        if names_of(layer)[0] not in widths:
            break
        rows += sum(halo(*extent(layer))) * widths[before] * channels
        channels, before = layer.features if isinstance(layer, Conv) else channels, names_of(layer)[-1]
    return 2 * 4 * rows * (devices - 1)


def estimate() -> None:
    """The largest picture, and the time of a step of it, of some numbers of H100 GPUs."""
    print("GPUs  whole, MP  s a step  in tiles, MP  s a step")
    for number in (1, 8, 64):
        whole, tiled = number * ROOM / (MAPS + STATE), number * ROOM / (STATE + 24)
        cells = []
        for pixels, work in ((whole, 1.0), (tiled, 2.1)):  # tiles compute forward twice, and their margins
            width = (pixels * 4 / 3) ** 0.5
            exchanged = least(round(width), 2) / 2 / (LINK if number <= 8 else NETWORK) if number > 1 else 0
            each = pixels / number
            cells += [pixels / 1e6, work * max(each * FLOP / FLOPS, each * MOVED / MEMORY) + exchanged]
        print(f"{number:4d} {cells[0]:10.0f} {cells[1]:9.2f} {cells[2]:13.0f} {cells[3]:9.2f}")


if __name__ == "__main__":
    main()
