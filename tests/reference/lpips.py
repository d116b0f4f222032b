"""A float64 twin of LPIPS, from features as NumPy arrays."""

import numpy as np


def lpips(maps, other, heads):
    """The weighed squared distance of unit vectors, a mean over positions, a sum over layers."""
    total = 0.0
    for name, weights in heads.items():
        a, b = (np.asarray(x[name], np.float64)[0].reshape(-1, len(weights)) for x in (maps, other))
        a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-10) for x in (a, b))
        total += np.mean(((a - b) ** 2) @ np.asarray(weights, np.float64))
    return total
