"""A picture within seconds: adaptive instance normalization with the parameters that ship, to look at or to start from."""

import jax.numpy as jnp
import numpy as np

from nst_jax.images.color import recolor, with_colors
from nst_jax.images.files import fit_long_side, resize
from nst_jax.networks import choose_convolution, load
from nst_jax.networks.adain import LAYER, paint
from nst_jax.networks.layers import prepare
from nst_jax.networks.params import store as weights
from nst_jax.types import Pixels

# The decoder was trained on parts of pictures of 256 pixels; on much larger pictures its strokes are fine threads.
LARGEST = 512


def preview(content: Pixels, style: Pixels, *, size: int, color: str = "style") -> Pixels:
    """The content painted in one pass, its longer side `size` or `LARGEST` pixels, whichever is less.

    Args:
        content: sRGB in [0, 1], any size.
        style: likewise; it is never enlarged.
        size: longer side in pixels.
        color: whose colors it has, one of `nst_jax.images.color.COLORS`.
    """
    method = choose_convolution("auto")
    network = load("vgg19-normalized", convolution=method, taps=(LAYER,))
    stored = weights.load_params("adain-decoder")
    decoder = {name: prepare(leaves) if method == "winograd" else leaves for name, leaves in _arrays(stored).items()}
    seen = [_fitted(picture, min(size, LARGEST)) for picture in recolor(content, style, color)]
    painted = np.asarray(paint(network.params, decoder, *map(jnp.asarray, seen), convolution=method))
    return with_colors(painted, _fitted(content, min(size, LARGEST))) if color == "luminance" else painted


def _arrays(stored: dict) -> dict:
    return {name: {leaf: jnp.asarray(array) for leaf, array in leaves.items()} for name, leaves in stored.items()}


def _fitted(pixels: Pixels, size: int) -> Pixels:
    height, width = pixels.shape[1:3]
    return resize(pixels, fit_long_side(height, width, min(size, max(height, width))))
