"""Differences between two runs: in their facts, and in their pictures."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, dotted where mappings are nested, each with both values; None stands for a missing one.

    Example:
        >>> changes({"size": 64, "loss": {"style_weight": 5}}, {"size": 64, "loss": {"style_weight": 9}})
        {'loss.style_weight': (5, 9)}
    """
    one, other = dict(flat(before)), dict(flat(now))
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def describe_changes(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences on one line.

    Example:
        >>> describe_changes({"jax": ("0.10.0", "0.10.1"), "cpu": (None, "Xeon")})
        'jax went from 0.10.0 to 0.10.1, cpu went from None to Xeon'
    """
    return ", ".join(f"{key} went from {before} to {now}" for key, (before, now) in differences.items())


def difference(one: Float[np.ndarray, "1 h w 3"], other: Float[np.ndarray, "1 h w 3"]) -> dict[str, float]:
    """The distance of two pictures: mean and largest absolute difference d, in [0, 1], and PSNR = -10 log10 mean d² in dB.

    Example:
        >>> difference(np.zeros((1, 2, 2, 3), np.float32), np.full((1, 2, 2, 3), 0.1, np.float32))
        {'mean': 0.1, 'largest': 0.1, 'psnr': 20.0}
    """
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    square = float(np.mean(apart**2))
    psnr = -10 * math.log10(square) if square else math.inf
    return {"mean": round(float(np.mean(apart)), 7), "largest": round(float(np.max(apart)), 7), "psnr": round(psnr, 2)}


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys and the values of nested mappings."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
