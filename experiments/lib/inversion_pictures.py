"""The pictures of experiment 005: photographs of scikit-image and scikit-learn, and the two that come with nst_jax.

    pip install -e ".[inversion,lpips]"

Those of scikit-image are CC0 or in the public domain (the docstring of each function in `skimage.data` says so); china and
flower of scikit-learn are CC BY 2.0 (danielbuechele and vultilion on Flickr, as `sklearn/datasets/images/README.txt` says).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import nst_jax
from nst_jax.images.files import read_image, resize
from nst_jax.invert.run import LUMA
from nst_jax.types import Pixels

SIDE = 227
BUNDLED = Path(nst_jax.__file__).parent / "images" / "bundled"
# The first ten are inverted; all of them are the reference of the error.
INVERTED = ("astronaut", "coffee", "chelsea", "rocket", "camera", "grass", "china", "flower", "drawing", "starry")
REFERENCE = (*INVERTED, "hubble_deep_field", "retina", "immunohistochemistry", "brick", "coins", "moon")


def picture(name: str, side: int = SIDE) -> Pixels:
    """The middle square of a picture, of so many pixels on each side, sRGB in [0, 1]."""
    return resize(_square(_array(name)), (side, side))


def gray(pixels: Pixels) -> Pixels:
    """The picture in gray."""
    return np.repeat(pixels @ LUMA[:, None], 3, axis=-1)


def _array(name: str) -> np.ndarray:
    if name == "drawing":  # of the Neckarfront
        return read_image(BUNDLED / "neckarfront_drawing.jpg").pixels[0]
    if name == "starry":
        return read_image(BUNDLED / "starry_night.jpg").pixels[0]
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return np.asarray(load_sample_image(f"{name}.jpg"), np.float32) / 255
    from skimage import data

    load: Callable[[], np.ndarray] = getattr(data, name)
    array = np.asarray(load(), np.float32) / 255
    return array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=-1)


def _square(array: np.ndarray) -> Pixels:
    height, width = array.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return array[None, top : top + side, left : left + side]
