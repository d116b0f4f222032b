"""A mosaic of glass: overlapping fans of concentric rows of stones. Everything comes from one seed."""

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from tools.neckarfront.painting import SCALE, Canvas

WIDTH, HEIGHT = 768, 576
SEED = 532  # the year the building of the Hagia Sophia began
RADIUS, STONE, JOINT = 152, 16.0, 2.0  # of a fan, of a stone and of the mortar around it, in pixels
_MORTAR = (96, 88, 80)
_GOLD, _IVORY, _COBALT, _TURQUOISE, _TERRACOTTA, _EMERALD, _NIGHT = (
    (214, 162, 46), (236, 224, 194), (28, 66, 148), (46, 150, 160), (178, 74, 44), (38, 112, 74), (18, 30, 74),
)  # fmt: skip
# The colors of the rows of a fan, from its middle outwards, repeated; a fan has one of these.
_FANS = (
    (_GOLD, _GOLD, _TERRACOTTA, _IVORY, _COBALT, _COBALT, _TURQUOISE, _NIGHT, _GOLD),
    (_TERRACOTTA, _GOLD, _IVORY, _TURQUOISE, _TURQUOISE, _EMERALD, _EMERALD, _NIGHT, _GOLD),
    (_IVORY, _TURQUOISE, _COBALT, _COBALT, _NIGHT, _NIGHT, _TERRACOTTA, _TERRACOTTA, _GOLD),
    (_GOLD, _IVORY, _IVORY, _TERRACOTTA, _TERRACOTTA, _GOLD, _GOLD, _COBALT, _NIGHT),
)


def draw() -> Image.Image:
    """The picture, 768 x 576."""
    canvas = Canvas(WIDTH, HEIGHT, SEED)
    y, x = np.mgrid[0 : HEIGHT * SCALE, 0 : WIDTH * SCALE] / SCALE
    y, x = y + 5 * (canvas.noise(60, 3) - 0.5), x + 5 * (canvas.noise(60, 3) - 0.5)  # laid by hand
    fan, across, along = _fans(y, x)
    row = (across / STONE).astype(int)
    count = np.maximum(np.round(2 * np.pi * (row + 0.5)), 5)  # stones around the circle of this row
    place = along * count + canvas.key.random((64, 64))[fan % 64, row % 64]
    stone = place.astype(int)
    colors = np.asarray(_FANS, float)[canvas.key.integers(0, len(_FANS), 64)[fan % 64], row % 9]
    hue, light = canvas.key.normal(0, 9, (211, 3)), canvas.key.normal(1, 0.16, 211)
    one = (fan * 7919 + row * 613 + stone * 97) % 211
    inside = _depth(across / STONE - row) * STONE, _depth(place - stone) * (2 * np.pi * (row + 0.5) * STONE / count)
    tilt = canvas.key.normal(0, 0.16, (211, 2))[one] * np.stack([across / STONE - row - 0.5, place - stone - 0.5], -1)
    pixels = (colors + hue[one]) * (light[one] + tilt.sum(-1) + 0.2 * (canvas.noise(5, 2) - 0.5))[..., None]
    mortar = np.asarray(_MORTAR) * (0.7 + 0.6 * canvas.noise(3, 2))[..., None]
    share = np.clip((np.minimum(*inside) - JOINT / 2) / 0.8, 0, 1)[..., None]
    pixels = mortar + share * (pixels - mortar)
    small = pixels.reshape(HEIGHT, SCALE, WIDTH, SCALE, 3).mean((1, 3))
    return Image.fromarray(np.round(np.clip(small, 0, 255)).astype(np.uint8))


def _fans(
    y: Float[np.ndarray, "h w"], x: Float[np.ndarray, "h w"]
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """The fan of each pixel, its distance from the fan's middle, and its angle there in turns; lower fans are on top."""
    fan, across, along = np.zeros(y.shape, int), np.zeros(y.shape), np.zeros(y.shape)
    number = 0
    for index, middle in enumerate(np.arange(0, HEIGHT + 2 * RADIUS, RADIUS / 2)):
        for left in np.arange(-RADIUS + index % 2 * RADIUS, WIDTH + 2 * RADIUS, 2 * RADIUS):
            number += 1
            down, right = y - middle, x - left
            distance = np.hypot(down, right)
            here = distance < RADIUS
            fan[here], across[here] = number, distance[here]
            along[here] = np.arctan2(down, right)[here] / (2 * np.pi) + 0.5
    return fan, across, along


def _depth(part: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The distance of a share in 0..1 from the nearer end."""
    return np.minimum(part, 1 - part)
