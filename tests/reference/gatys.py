"""A float64 NumPy twin of the loss of Gatys et al. (2016) with its gradient, from their equations 1 to 7."""

import numpy as np

from tests.reference import network


def gram(feature_map):
    """G_ij = Σ_k F_ik F_jk over the positions k (eq. 3)."""
    f = feature_map.reshape(-1, feature_map.shape[-1])
    return f.T @ f


def loss_and_gradient(params, image, content, style, spec, alpha, beta):
    """The paper's loss with w_l = 1/n, and its gradient; images are [h, w, 3]. The style may differ in size from the image.

    Every Gram matrix is divided by its own number of positions, which for equal sizes is eq. 4 as printed.
    """
    maps, backward = network.features(params, image, spec.taps, spec.network)
    wanted = network.features(params, content, spec.content_layers, spec.network)[0] if spec.content_layers else {}
    painted = network.features(params, style, spec.style_layers, spec.network)[0] if spec.style_layers else {}
    total, cotangents = 0.0, dict.fromkeys(spec.taps, 0.0)
    for layer in spec.content_layers:
        difference = maps[layer] - wanted[layer]
        total += alpha / len(spec.content_layers) * np.sum(difference**2) / 2
        cotangents[layer] = cotangents[layer] + alpha / len(spec.content_layers) * difference
    for layer in spec.style_layers:
        f, s = maps[layer], painted[layer]
        m, channels = f.shape[0] * f.shape[1], f.shape[2]
        difference = gram(f) / m - gram(s) / (s.shape[0] * s.shape[1])
        weight = beta / len(spec.style_layers)
        total += weight * np.sum(difference**2) / (4 * channels**2)
        cotangents[layer] = cotangents[layer] + weight * (f @ difference) / (channels**2 * m)
    return total, backward(cotangents)
