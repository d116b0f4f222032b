"""Test films with known flow: a pan, a turn with zoom, a moving foreground over a still background, and a still film.

    python experiments/019-video/films.py FOLDER

Each film is a folder of PNG frames; beside it lies truth.npz with, for each frame but the first, the flow to the frame before
and a mask of the pixels that are seen there.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from nst_jax.images.files import resize, write_image
from nst_jax.images.named import find_image

HEIGHT, WIDTH, FRAMES = 144, 192, 8


def sampled(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture [h, w, 3] at places, by cubic splines."""
    return np.stack([map_coordinates(picture[..., c], [y, x], order=3, mode="reflect") for c in range(3)], -1).clip(0, 1)


def source(name: str, height: int, width: int) -> np.ndarray:
    """A sample picture, cropped to an aspect and brought to a size."""
    pixels = find_image(name).pixels
    h, w = pixels.shape[1:3]
    side = min(h * width / height, w)
    h2, w2 = int(side * height / width), int(side)
    top, left = (h - h2) // 2, (w - w2) // 2
    return resize(pixels[:, top : top + h2, left : left + w2], (height, width))[0]


def moving_camera(place: Any) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Frames, flows to the frame before and masks of a camera that sees `place(i, x, y)` of a large picture in frame i."""
    big = source("astronaut", 2 * HEIGHT, 2 * WIDTH)
    y, x = np.meshgrid(np.arange(HEIGHT, dtype=float), np.arange(WIDTH, dtype=float), indexing="ij")
    frames, flows, masks = [], [], []
    for i in range(FRAMES):
        frames.append(sampled(big, *place(i, x, y)))
        if i:
            back_x, back_y = place.inverse(i - 1, *place(i, x, y))
            flows.append(np.stack([back_x - x, back_y - y], -1))
            masks.append((back_x >= 0) & (back_x <= WIDTH - 1) & (back_y >= 0) & (back_y <= HEIGHT - 1))
    return frames, flows, masks


class Pan:
    """2.5 pixels to the right and 0.75 down with each frame."""

    def __call__(self, i, x, y):
        """Where frame i sees the pixel."""
        return x + 60 + 2.5 * i, y + 60 + 0.75 * i

    def inverse(self, i, x, y):
        """Which pixel of frame i sees a place."""
        return x - 60 - 2.5 * i, y - 60 - 0.75 * i


class Turn:
    """1.2 degrees and 1.5 percent with each frame, around the middle."""

    def _matrix(self, i):
        angle, zoom = np.deg2rad(1.2 * i), 1.2 * 0.985**i
        return zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def __call__(self, i, x, y):
        """Where frame i sees the pixel."""
        m = self._matrix(i)
        dx, dy = x - WIDTH / 2, y - HEIGHT / 2
        return WIDTH + m[0, 0] * dx + m[0, 1] * dy, HEIGHT + m[1, 0] * dx + m[1, 1] * dy

    def inverse(self, i, x, y):
        """Which pixel of frame i sees a place."""
        m = np.linalg.inv(self._matrix(i))
        dx, dy = x - WIDTH, y - HEIGHT
        return WIDTH / 2 + m[0, 0] * dx + m[0, 1] * dy, HEIGHT / 2 + m[1, 0] * dx + m[1, 1] * dy


def foreground() -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """A disc cut out of one picture moves over another one by 3 pixels with each frame."""
    back, front = source("astronaut", HEIGHT, WIDTH), source("cat", HEIGHT, WIDTH)
    y, x = np.meshgrid(np.arange(HEIGHT, dtype=float), np.arange(WIDTH, dtype=float), indexing="ij")
    frames, flows, masks, discs = [], [], [], []
    for i in range(FRAMES):
        distance = np.hypot(x - 60 - 3 * i, y - HEIGHT / 2 - i)
        disc = np.clip(38.5 - distance, 0, 1)[..., None]
        frames.append(disc * sampled(front, x - 3 * i, y - i) + (1 - disc) * back)
        discs.append(distance)
        if i:
            inside = discs[i] < 38
            flows.append(np.where(inside[..., None], np.array([-3.0, -1.0]), 0.0))
            edge = (np.abs(discs[i] - 38.5) < 2) | (np.abs(discs[i - 1] - 38.5) < 2)
            masks.append(~edge & (inside | (discs[i - 1] > 40)))
    return frames, flows, masks


def write(folder: Path, film: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]) -> None:
    """Writes a film and its truth."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(film[0]):
        write_image(folder / f"{i:06d}.png", frame[None].astype(np.float32))
    np.savez_compressed(folder.with_suffix(".npz"), flow=np.array(film[1], np.float32), seen=np.array(film[2]))


def noisy(count: int = 100) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """A still picture with the noise of a camera, of standard deviation 3/255, at half the size."""
    picture, generator = source("astronaut", HEIGHT // 2, WIDTH // 2), np.random.default_rng(0)
    frames = [np.clip(picture + generator.normal(0, 3 / 255, picture.shape), 0, 1) for _ in range(count)]
    nowhere, everything = np.zeros((HEIGHT // 2, WIDTH // 2, 2)), np.ones((HEIGHT // 2, WIDTH // 2), bool)
    return frames, [nowhere] * (count - 1), [everything] * (count - 1)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target / "pan", moving_camera(Pan()))
    write(target / "turn", moving_camera(Turn()))
    write(target / "foreground", foreground())
    picture = source("astronaut", HEIGHT, WIDTH)
    nowhere, everything = np.zeros((HEIGHT, WIDTH, 2)), np.ones((HEIGHT, WIDTH), bool)
    write(target / "still", ([picture] * FRAMES, [nowhere] * (FRAMES - 1), [everything] * (FRAMES - 1)))
    write(target / "noisy", noisy())
