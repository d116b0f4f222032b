"""`nst_jax.transfer`: a whole job on arrays, with the same options and defaults as the command line."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from nst_jax import job
from nst_jax.config.compose import make_config, to_yaml
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE
from nst_jax.images.masks import Mask, as_mask
from nst_jax.networks import load
from nst_jax.networks.params import store as weights
from nst_jax.runner.preview import preview
from nst_jax.system.compilation_cache import use_compilation_cache


def transfer(
    content: np.ndarray,
    style: np.ndarray | Sequence[np.ndarray],
    *,
    init: np.ndarray | str,
    masks: Sequence[Any],
    style_masks: Sequence[Any],
    options: dict[str, Any],
) -> tuple[Float[np.ndarray, "h w 3"], dict[str, Any]]:
    """See `nst_jax.transfer`."""
    several = [style] if isinstance(style, np.ndarray) else list(style)
    start = None if isinstance(init, str) else as_pixels("init", init)
    inputs = job.Inputs(as_pixels("content", content), tuple(as_pixels("style", array) for array in several), start)
    inputs = inputs._replace(masks=tuple(map(_as_mask, masks)), style_masks=tuple(map(_as_mask, style_masks)))
    config = make_config({**options, "init": init if isinstance(init, str) else "file"})
    if start is None and config.init not in job.INITS:
        raise InputError(f"init must be one of {', '.join(job.INITS)}, or an array; got {config.init!r}")
    use_compilation_cache()
    spec = to_spec(
        config, architecture=weights.architecture(config.network.name), num_styles=len(several), num_regions=len(masks)
    )
    network = load(config.network.name, convolution=spec.objective.network.convolution, taps=spec.objective.taps)
    if spec.init == "adain":
        inputs = inputs._replace(init=preview(inputs.content, inputs.styles[0], size=spec.scales[-1].size, color=spec.color))
    outcome = job.transfer(network.params, inputs, spec)
    record = {"metrics": outcome.rows, "seconds": outcome.seconds, "recoveries": outcome.recoveries}
    return outcome.pixels[0], record | {"config": to_yaml(config, record=False)}


def _as_mask(array: Any) -> Mask | None:
    """[h, w] of uint8, booleans or floating point in [0, 1]; None stays."""
    if array is None:
        return None
    array = np.asarray(array)
    if array.ndim != 2:
        raise InputError(f"a mask must have the shape [h, w], got {list(array.shape)}")
    array = array.astype(np.float32) if array.dtype == bool else array
    return as_mask(as_pixels("a mask", np.repeat(array[..., None], 3, -1)))


def as_pixels(what: str, array: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "1 h w 3"]:
    """An array as the pictures here are: float32 [1, h, w, 3], sRGB in [0, 1].

    Raises:
        InputError: another shape or dtype, a value out of range, or a side too small.

    Example:
        >>> float(as_pixels("content", np.full((16, 16, 3), 51, np.uint8))[0, 0, 0, 0])
        0.20000000298023224
    """
    array = np.asarray(array)
    given = list(array.shape)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[0] != 1 or array.shape[3] != 3:
        raise InputError(f"{what} must have the shape [h, w, 3] or [1, h, w, 3], got {given}")
    if min(array.shape[1:3]) < MIN_SIDE:
        raise InputError(f"{what} must be at least {MIN_SIDE} pixels on each side, got {array.shape[2]}x{array.shape[1]}")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{what} must be uint8 or floating point, got {array.dtype}; convert it")
    if not (np.min(array) >= 0 and np.max(array) <= 1):
        raise InputError(f"{what} must have values in [0, 1], got {np.min(array):g} to {np.max(array):g}; divide or clip")
    return array.astype(np.float32)
