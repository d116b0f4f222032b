"""A float64 twin of the Wasserstein-2 style distance, by SciPy's matrix square root (Schur's method, no eigenproblem)."""

import numpy as np
from scipy.linalg import inv, sqrtm


def squared_distance(positions, total, product, mean_s, covariance_s, epsilon):
    """The distance of the Gaussian of some sums from another, its gradient by Σ f and by Σ f fᵀ; divided by C."""
    channels = len(total)
    mean = total / positions
    covariance = product / positions - np.outer(mean, mean) + epsilon * np.eye(channels)
    root = np.real(sqrtm(covariance_s + epsilon * np.eye(channels)))
    middle = np.real(sqrtm(root @ covariance @ root))
    difference = mean - mean_s
    value = difference @ difference + np.trace(covariance) + np.sum(root**2) - 2 * np.trace(middle)
    by_covariance = np.eye(channels) - root @ inv(middle) @ root
    by_mean = 2 * difference - 2 * by_covariance @ mean
    return value / channels, by_mean / positions / channels, by_covariance / positions / channels


def of_features(features, style_features, epsilon):
    """The distance between two sets of features [positions, channels], and its gradient by the first."""
    sums = [(len(x), x.sum(0), x.T @ x) for x in (features, style_features)]
    positions, total, product = sums[1]
    mean = total / positions
    value, by_sum, by_product = squared_distance(*sums[0], mean, product / positions - np.outer(mean, mean), epsilon)
    return value, by_sum + 2 * features @ by_product
