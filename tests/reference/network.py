"""A float64 NumPy twin of the networks with its gradient, layer by layer, written for being read and not for speed."""

import numpy as np

from nst_jax.networks.architectures import ARCHITECTURES, Norm, Pool, names_of
from nst_jax.networks.convnet import NetworkSpec


def padded_positions(length, margin, padding):
    """Which position of a side is read at each position of the padded side; -1 for a zero."""
    wanted = np.arange(-margin, length + margin)
    if padding == "zero":
        return np.where((wanted >= 0) & (wanted < length), wanted, -1)
    if padding == "reflect" and margin < length:
        return np.abs(length - 1 - np.abs(length - 1 - wanted))
    return np.clip(wanted, 0, length - 1)


def convolution(x, kernel, bias, stride, margin, padding):
    """X [h, w, i] -> y [h2, w2, o], and the function from dL/dy to dL/dx."""
    rows, columns = (padded_positions(side, margin, padding) for side in x.shape[:2])
    extended = np.concatenate([x, np.zeros((1, *x.shape[1:]))])  # row and column -1 are the zeros
    extended = np.concatenate([extended, np.zeros((extended.shape[0], 1, x.shape[2]))], axis=1)
    big = extended[rows][:, columns]
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in big.shape[:2])
    views = {
        (a, b): (slice(a, a + stride * (height - 1) + 1, stride), slice(b, b + stride * (width - 1) + 1, stride))
        for a in range(size)
        for b in range(size)
    }
    y = sum(big[view] @ kernel[ab] for ab, view in views.items()) + bias

    def backward(dy):
        dbig = np.zeros_like(big)
        for ab, view in views.items():
            dbig[view] += dy @ kernel[ab].T
        dextended = np.zeros_like(extended)
        np.add.at(dextended, np.ix_(rows, columns), dbig)
        return dextended[:-1, :-1]

    return y, backward


def pooling(x, window, stride, kind, scale):
    """X [h, w, c] -> y [h2, w2, c] over whole windows, and the function from dL/dy to dL/dx (to the first maximum)."""
    height, width = ((side - window) // stride + 1 for side in x.shape[:2])
    offsets = [(a, b) for a in range(window) for b in range(window)]
    views = [
        (slice(a, a + stride * (height - 1) + 1, stride), slice(b, b + stride * (width - 1) + 1, stride)) for a, b in offsets
    ]
    stack = np.stack([x[view] for view in views])
    y = (stack.max(0) if kind == "max" else stack.mean(0)) * scale

    def backward(dy):
        dx = np.zeros_like(x)
        chosen = stack.argmax(0)
        for i, view in enumerate(views):
            dx[view] += dy * scale * ((chosen == i) if kind == "max" else 1 / len(views))
        return dx

    return y, backward


def grouped(x, kernel, bias, layer, padding):
    """A convolution in groups of channels, each by itself."""
    parts = zip(np.split(x, layer.groups, 2), np.split(kernel, layer.groups, 3), np.split(bias, layer.groups), strict=True)
    ys, backs = zip(*(convolution(*part, layer.stride, layer.margin, padding) for part in parts), strict=True)

    def backward(dy):
        return np.concatenate([back(d) for back, d in zip(backs, np.split(dy, layer.groups, 2), strict=True)], 2)

    return np.concatenate(ys, 2), backward


def normalization(x, offset, alpha, beta=0.75, reach=2):
    """Local response normalization over neighboring channels, and the function from dL/dy to dL/dx."""
    channels = x.shape[2]
    near = np.abs(np.arange(channels)[:, None] - np.arange(channels)) <= reach
    scale = offset + alpha * (x**2 @ near)

    def backward(dy):
        return dy * scale**-beta - 2 * alpha * beta * x * ((dy * x * scale ** (-beta - 1)) @ near)

    return x * scale**-beta, backward


def features(params, image, taps, spec=None):
    """The tapped maps [h, w, c] of an image [h, w, 3], and the function from {tap: dL/dmap} to dL/dimage."""
    spec = spec or NetworkSpec()
    params = {
        layer: {leaf: np.asarray(array, np.float64) for leaf, array in leaves.items()} for layer, leaves in params.items()
    }
    matrix = params["preprocess"]["matrix"]
    x = np.asarray(image, np.float64) @ matrix + params["preprocess"]["offset"]
    found, tape = {}, []
    layers = ARCHITECTURES[spec.architecture]
    for layer in layers:
        if isinstance(layer, Pool):
            x, back = pooling(x, layer.window, layer.stride, spec.pooling, spec.pooling_scale)
            tape.append((f"pool{layer.name}", back))
            found[f"pool{layer.name}"] = x
        elif isinstance(layer, Norm):
            x, back = normalization(x, layer.offset, layer.alpha)
            tape.append((f"norm{layer.name}", back))
            found[f"norm{layer.name}"] = x
        else:
            name, *relu = names_of(layer)
            leaves = params[name]
            padding = spec.padding if layer is layers[0] or spec.padding_at == "all" else "zero"
            x, back = grouped(x, leaves["kernel"], leaves["bias"], layer, padding)
            tape.append((name, back))
            found[name] = x
            if relu:
                positive = x > 0
                x = np.maximum(x, 0)
                tape.append((relu[0], lambda dy, positive=positive: dy * positive))
                found[relu[0]] = x
        if all(tap in found for tap in taps):
            break

    def backward(cotangents):
        dx = np.zeros_like(found[tape[-1][0]])
        for name, back in reversed(tape):
            dx = back(dx + cotangents.get(name, 0))
        return dx @ matrix.T

    return {tap: found[tap] for tap in taps}, backward
