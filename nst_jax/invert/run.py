"""Inversions as a kind of run: preparing one, its restarts, the paper's error, and the pictures that it adds to the record."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nst_jax import job
from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, resize, write_image
from nst_jax.invert import dsift, hog
from nst_jax.invert.config import InvertConfig, check_counts, layer_of, to_job
from nst_jax.invert.neurons import Code, Neurons, choose
from nst_jax.invert.representation import DESCRIPTORS, code, smallest
from nst_jax.invert.restarts import invert
from nst_jax.networks import load
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.networks.params import store
from nst_jax.partition.receptive_field import Field, receptive_field
from nst_jax.runner.prepare import Kind, Made, Prepared, begin_record, read_pictures, set_verbosity
from nst_jax.runs.folder import RunFolder
from nst_jax.types import Params, Pixels

# Luma of Rec. 601: what a gray picture is of a color one.
LUMA = np.array((0.299, 0.587, 0.114), np.float32)
FIELDS = {"hog": hog.FIELD, "hogb": hog.FIELD, "dsift": dsift.FIELD}
GAP = 4  # pixels between pictures
_SCALES = Path(__file__).with_name("scales.json")


def prepare(config: InvertConfig) -> Prepared:
    """Checks the config of an inversion, and reads the picture and the network's parameters.

    Raises:
        InputError: anything the user can fix.
    """
    began = time.perf_counter()
    set_verbosity(config)
    check_counts(config)
    params, network, layer, sha256 = _representation(config)
    picture = read_pictures({"content": config.content})["content"]
    content = content_at(picture.pixels, config.size, layer, network)
    spec = to_job(config, layer, network, _neurons(config, params, content, layer, network), content.size)
    pictures = {"content": replace(picture, pixels=content)}
    begun = begin_record(config, pictures, config.representation, sha256)
    inputs, seconds = job.Inputs(content, ()), time.perf_counter() - began
    return Prepared(INVERSION, config, spec, pictures, inputs, params, begun, seconds, config.restarts)


def content_at(pixels: Pixels, size: int, layer: str, network: NetworkSpec) -> Pixels:
    """The content at its size; gray for a descriptor.

    Raises:
        InputError: it is too small for the layer.
    """
    height_width = fit_long_side(pixels.shape[1], pixels.shape[2], size)
    job.check_size(*height_width, size)
    content = resize(pixels, height_width)
    least, (height, width) = smallest(layer, network.architecture), content.shape[1:3]
    if min(height, width) < least:
        raise InputError(
            f"content must be at least {least} pixels on each side for {layer}, got {width}x{height}; use a larger size"
        )
    return np.repeat(content @ LUMA[:, None], 3, axis=-1) if layer in DESCRIPTORS else content


def _representation(config: InvertConfig) -> tuple[Params, NetworkSpec, str, str | None]:
    """Parameters, network, layer and the sha256 of the parameters; a descriptor has no parameters."""
    if config.representation in DESCRIPTORS:
        return {}, NetworkSpec(), layer_of(config, ""), None
    layer = layer_of(config, store.architecture(config.representation))
    network = load(config.representation, taps=(layer,))
    return network.params, network.spec, layer, store.file_sha256(config.representation)


def _neurons(config: InvertConfig, params: Params, content: Pixels, layer: str, network: NetworkSpec) -> Neurons:
    shape = jax.eval_shape(lambda p, x: code(p, x, layer, network=network), params, jnp.asarray(content)).shape
    return choose(shape, config.neurons.center, config.neurons.patch, config.neurons.channels)


def _begin(prepared: Prepared, folder: RunFolder) -> None:
    objective: Any = prepared.spec.objective
    if objective.neurons.patch is not None:
        field = field_of(objective.layer, objective.network.architecture)
        write_image(folder.path / "receptive_field.png", outline(prepared.inputs.content, field, objective.neurons))


def _execute(
    prepared: Prepared, observe: job.Callback, chunk_at: Sequence[int], resume: job.JobState | None, folder: Path | None
) -> Made:
    """Inverts; the result is that of the restart with the smallest loss."""
    objective: Any = prepared.spec.objective
    results = invert(prepared.params, prepared.inputs.content, prepared.spec, prepared.jobs, observe, chunk_at, resume)
    target: Code = jax.jit(objective.targets)(prepared.params, jnp.asarray(prepared.inputs.content))
    scale = scale_of(prepared.begun["params"]["sha256"], objective.layer)
    last = [result.rows[-1] for result in results]
    restarts = [{"loss": row["loss"], "normalized_error": normalized_error(row["content"], target, scale)} for row in last]
    best = min(range(len(results)), key=lambda i: last[i]["loss"])
    facts = {
        "steps": sum(row["step"] for row in last),
        "normalized_error": restarts[best]["normalized_error"],
        "restarts": restarts,
    }
    pictures = {"restarts.png": beside([result.pixels for result in results])} if len(results) > 1 else {}
    return Made(results[best], facts, pictures)


INVERSION = Kind(InvertConfig.kind, InvertConfig, prepare, _begin, _execute, lambda config: "off")


def mean_pairwise_distance(codes: Sequence[Code]) -> Float[Array, ""]:
    """The mean over all pairs (i, j), equal ones included, of ‖Φ_i − Φ_j‖², for each entry of the code.

    That is 2 (mean ‖Φ‖² − ‖mean Φ‖²), over the number of entries.

    Example:
        >>> float(mean_pairwise_distance([jnp.zeros((1, 1, 1, 2)), jnp.full((1, 1, 1, 2), 2.0)]))  # (0 + 8 + 8 + 0) / 4 / 2
        2.0
    """
    stack = jnp.concatenate([code.reshape(1, -1) for code in codes])
    center = jnp.mean(stack, axis=0, keepdims=True)
    return 2 * jnp.mean((stack - center) ** 2)


def scale_of(sha256: str | None, layer: str) -> float | None:
    """The `mean_pairwise_distance` of the reference pictures (see experiments/005-inversion) of 227 x 227 pixels.

    Args:
        sha256: of the network's parameters; None for a descriptor.
        layer: of the network, or the descriptor.

    Returns:
        None for parameters without a stored reference.
    """
    return json.loads(_SCALES.read_text("utf-8")).get(sha256 or "descriptors", {}).get(layer)


def normalized_error(content_term: float, target: Code, scale: float | None) -> float | None:
    """The paper's error: ‖Φ(x) − Φ0‖² over the mean pairwise squared distance of the reference pictures' codes.

    Args:
        content_term: ‖Φ(x) − Φ0‖² / ‖Φ0‖², as in the loss.
        target: Φ0, of the neurons that count.
        scale: from `scale_of`.
    """
    return None if scale is None else float(content_term * jnp.mean(target**2) / scale)


def field_of(layer: str, architecture: str) -> Field:
    """The receptive field of a network's layer or a descriptor.

    Example:
        >>> field_of("dsift", "")
        Field(start=-5, size=26, stride=15)
    """
    return FIELDS[layer] if layer in FIELDS else receptive_field(architecture, layer)


def outline(pixels: Pixels, field: Field, neurons: Neurons) -> Pixels:
    """The picture with a frame around the receptive field of the patch of neurons; everything outside is darkened."""
    assert neurons.patch is not None
    top, left, height, width = neurons.patch
    ranges = field.window(top, height), field.window(left, width)
    (y0, y1), (x0, x1) = (np.clip(r, 0, side) for r, side in zip(ranges, pixels.shape[1:3], strict=True))
    drawn = pixels / 2
    drawn[:, y0:y1, x0:x1] = (1.0, 0.8, 0.0)
    drawn[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = pixels[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
    return drawn


def beside(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of equal height side by side, on white."""
    gap = np.ones((1, pictures[0].shape[1], GAP, 3), np.float32)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=2)
