"""The data set of experiment 016: drawn figures in sixteen classes, since ImageNet cannot be had.

A class is one of eight figures, filled or striped: bright on a dark mottled ground, of any color, place, size, turn and light.
"""

from typing import NamedTuple

import numpy as np

SIDE = 28
DRAWN = 2 * SIDE  # drawn at twice the size and averaged, so that edges are smooth
CLASSES = 16
TURN = 0.4  # radians in both directions
NOISE = 0.06  # standard deviation of a pixel


class Data(NamedTuple):
    """Pictures [n, 28, 28, 3] in uint8, and the number of the class of each."""

    pictures: np.ndarray
    labels: np.ndarray


def make(number: int, seed: int) -> Data:
    """So many pictures, the classes in turn; the same for the same seed."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % CLASSES
    return Data(np.stack([_draw(rng, int(label)) for label in labels]), labels)


def _draw(rng: np.random.Generator, label: int) -> np.ndarray:
    figure, striped = FIGURES[label // 2], label % 2
    place, size, angle = rng.uniform(-0.15, 0.15, 2), rng.uniform(0.5, 0.85), rng.uniform(-TURN, TURN)
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, DRAWN)], indexing="ij")
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    u, v = cos * (x - place[1]) + sin * (y - place[0]), cos * (y - place[0]) - sin * (x - place[1])
    inside = figure(u, v)
    if striped:
        across, period = rng.uniform(0, np.pi), rng.uniform(0.45, 0.7)
        inside = inside & (np.sin((u * np.cos(across) + v * np.sin(across)) * 2 * np.pi / period) > -0.2)
    color, ground = rng.uniform(0.5, 1, 3), rng.uniform(0, 0.5, 3)
    picture = np.where(inside[..., None], color + _mottle(rng, 0.05), ground + _mottle(rng, 0.1))
    picture = picture.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)) * rng.uniform(0.6, 1, 3)  # the color of the light
    return np.round(255 * np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 1)).astype(np.uint8)


def _mottle(rng: np.random.Generator, strength: float) -> np.ndarray:
    coarse = rng.normal(0, strength, (7, 7, 3))
    return np.repeat(np.repeat(coarse, DRAWN // 7, 0), DRAWN // 7, 1)


def _polygon(sides: int, waist: float = 1.0):
    """A regular polygon, or a star whose inner corners are at `waist` times the outer radius."""
    step = np.pi / sides

    def inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        radius, angle = np.hypot(u, v), np.abs((np.arctan2(u, -v) + step) % (2 * step) - step)
        inner = np.cos(step) if waist == 1 else waist
        # The line from the corner (1, 0) to the inner corner at the angle `step`.
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        a, b = inner * np.cos(step), inner * np.sin(step)
        return (1 - x) * b - y * (1 - a) > 0

    return inside


FIGURES = (
    _polygon(3),
    _polygon(4),
    _polygon(6),
    _polygon(5, 0.4),
    lambda u, v: np.hypot(u, v) < 0.9,
    lambda u, v: (np.hypot(u, v) < 0.95) & (np.hypot(u, v) > 0.5),
    lambda u, v: (np.minimum(abs(u), abs(v)) < 0.28) & (np.maximum(abs(u), abs(v)) < 0.95),
    lambda u, v: (np.hypot(u, v) < 0.95) & (np.hypot(u - 0.4, v) > 0.6),
)
