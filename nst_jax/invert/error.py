"""The paper's error of an inversion: the squared distance of the codes over that between the codes of different pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.invert.neurons import Code

_SCALES = Path(__file__).with_name("scales.json")


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
        None for parameters that have none.
    """
    return json.loads(_SCALES.read_text("utf-8")).get(sha256 or "descriptors", {}).get(layer)


def normalized_error(content_term: float, target: Code, scale: float | None) -> float | None:
    """‖Φ(x) − Φ0‖² over the mean pairwise squared distance of the reference pictures' codes.

    Args:
        content_term: ‖Φ(x) − Φ0‖² / ‖Φ0‖², as the loss has it.
        target: Φ0, as far as it counts.
        scale: from `scale_of`.
    """
    return None if scale is None else float(content_term * jnp.mean(target**2) / scale)
