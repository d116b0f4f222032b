"""A float64 twin of the nearest-neighbor distance: all cosines at once, the gradient written out."""

import numpy as np


def of_features(features, style_features, share, epsilon, counts=None):
    """The distance of features [positions, channels] from those of a style, and its gradient; `counts`: of each position."""
    counts = np.ones(len(features)) if counts is None else counts
    mean = style_features.mean(0)
    radius = np.sqrt(share * np.mean(np.sum((style_features - mean) ** 2, 1)) + epsilon * len(mean))
    a, b = (np.column_stack([x - mean, np.full(len(x), radius)]) for x in (features, style_features))
    length = np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    cosines = a / length @ b.T
    best = b[cosines.argmax(1)]
    part = (counts / counts.sum())[:, None]
    gradient = part * (cosines.max(1, keepdims=True) * a / length - best) / length
    return float(np.sum(part[:, 0] * (1 - cosines.max(1)))), gradient[:, :-1]
