"""A photograph as an engraving: lines that bend with the light and swell with the dark, crossed in the shadows."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter, ImageOps

from tools.neckarfront.painting import Canvas

SEED = 1514  # Dürer's Melencolia
WIDTH, FINE = 704, 3  # pixels, and how many lines of the canvas are averaged to one
_PAPER, _INK = np.array([241.0, 234, 216]), np.array([34.0, 28, 30])
# Angle in degrees, distance of the lines in pixels, and the darkness from which on they are drawn.
_SETS = ((18.0, 7.5, 0.06), (-38.0, 7.5, 0.42), (75.0, 7.5, 0.68))


def draw(photo: Image.Image) -> Image.Image:
    """The engraving, 704 pixels wide."""
    height = round(WIDTH * photo.height / photo.width)
    gray = ImageOps.autocontrast(photo.convert("L").resize((WIDTH * FINE, height * FINE), Image.Resampling.LANCZOS), cutoff=1)
    dark = 1 - np.asarray(gray.filter(ImageFilter.UnsharpMask(9, 120, 0)), float) / 255
    form = np.asarray(gray.filter(ImageFilter.GaussianBlur(7 * FINE)), float) / 255
    canvas = Canvas(WIDTH, height, SEED)
    y, x = np.mgrid[0 : height * FINE, 0 : WIDTH * FINE] / FINE
    ink = np.zeros(dark.shape)
    for angle, spacing, begin in _SETS:
        turn = np.deg2rad(angle)
        wander = _resized(canvas.noise(70, 3), dark.shape) - 0.5
        place = (y * np.cos(turn) + x * np.sin(turn) + 34 * form + 9 * wander) / spacing
        pressure = 1 + 0.5 * (_resized(canvas.noise(6, 2), dark.shape) - 0.5)
        share = np.clip((dark - begin) / (1 - begin), 0, 1) * pressure  # of the distance that is ink
        ink = np.maximum(ink, np.abs(place - np.round(place)) < 0.44 * share)
    grain = 1 + 0.05 * (canvas.noise(3, 2)[::2, ::2] - 0.5)
    ink = ink.reshape(height, FINE, WIDTH, FINE).mean((1, 3))[..., None]
    return Image.fromarray(np.round(np.clip((_PAPER + ink * (_INK - _PAPER)) * grain[..., None], 0, 255)).astype(np.uint8))


def _resized(values: Float[np.ndarray, "a b"], shape: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR), float)
