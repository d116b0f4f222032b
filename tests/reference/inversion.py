"""A float64 NumPy twin of the inversion's loss and its gradient, for pictures of 227 x 227 and any other size."""

import numpy as np

from tests.reference import network


def priors(image, mean, alpha, beta, rms=68.9, side=227):
    """R_α(x/σ) and R_Vβ(x/σ) of an image [h, w, 3] in [0, 1], and their gradients, as the paper writes them.

    σ² = rms² · entries; then rescaled to what they are for side x side pixels.
    """
    sigma = rms * np.sqrt(image.size)
    x = (image - mean) * 255 / sigma
    scale = image.size / (side * side * 3)
    r_alpha, d_alpha = np.sum(np.abs(x) ** alpha), alpha * np.abs(x) ** (alpha - 1) * np.sign(x)
    dy, dx = np.zeros_like(x), np.zeros_like(x)
    dy[:-1], dx[:, :-1] = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    square = dy**2 + dx**2
    r_tv, d_tv = np.sum(square ** (beta / 2)), np.zeros_like(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(square > 0, beta * square ** (beta / 2 - 1), 0)
    d_tv -= slope * (dy + dx)
    d_tv[1:] += (slope * dy)[:-1]
    d_tv[:, 1:] += (slope * dx)[:, :-1]
    factors = scale ** (alpha / 2 - 1), scale ** (beta / 2 - 1)
    return (factors[0] * r_alpha, factors[0] * d_alpha * 255 / sigma), (factors[1] * r_tv, factors[1] * d_tv * 255 / sigma)


def loss(params, image, content, weights, spec, mask):
    """The loss of an inversion of a network's layer, and its gradient; `mask` is 1 for the neurons that count."""
    target = network.features(params, content, (spec.layer,), spec.network)[0][spec.layer] * mask
    maps, backward = network.features(params, image, (spec.layer,), spec.network)
    error, energy = maps[spec.layer] * mask - target, np.sum(target**2)
    mean = np.linalg.solve(
        np.asarray(params["preprocess"]["matrix"], np.float64).T, -np.asarray(params["preprocess"]["offset"], np.float64)
    )
    (r_alpha, d_alpha), (r_tv, d_tv) = priors(np.asarray(image, np.float64), mean, spec.alpha, spec.beta)
    value = np.sum(error**2) / energy + weights.alpha * r_alpha + weights.tv * r_tv
    return value, backward({spec.layer: 2 * error / energy}) + weights.alpha * d_alpha + weights.tv * d_tv
