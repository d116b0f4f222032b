"""A float canvas to paint on with textured polygons and dabs, and the finish of a watercolor with ink; all of it seeded."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

Color = tuple[float, float, float]
Points = Sequence[tuple[float, float]]
SCALE = 2  # canvas pixels for each pixel of the picture: what is painted is averaged down at the end


class Canvas:
    """Pixels in 0..255 as float64; coordinates are those of the finished picture."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.key = np.random.default_rng(seed)
        self.shape = (height * SCALE, width * SCALE)
        self.pixels = np.zeros((*self.shape, 3))
        makers: dict[str, Callable[[], np.ndarray]] = {
            "plain": lambda: np.ones(self.shape),
            "plaster": lambda: 1 + 0.16 * (self.noise(24, 5) - 0.5) + 0.10 * (self.noise(4, 2) - 0.5),
            "tiles": lambda: _courses(self, 4.6, 4.4, 0.34),
            "stones": lambda: _courses(self, 9.0, 17.0, 0.30) * (1 + 0.3 * (self.noise(5, 3) - 0.5)),
            "wood": lambda: 1 + 0.5 * (self.noise(3, 2) - 0.5),
        }
        self.textures = {name: make() for name, make in makers.items()}

    def noise(self, cell: float, octaves: int, stretch: float = 1.0) -> Float[np.ndarray, "h w"]:
        """Smooth noise of mean about 1/2: octaves of random grids of `cell` pixels, wider than high by `stretch`."""
        height, width = self.shape
        total, weight = np.zeros(self.shape), 0.0
        for octave in range(octaves):
            step = max(cell * SCALE / 2**octave, 1)
            grid = self.key.random((int(height / step) + 3, int(width / (step * stretch)) + 3)).astype(np.float32)
            size = (int(grid.shape[1] * step * stretch), int(grid.shape[0] * step))
            layer = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
            total += np.asarray(layer, np.float64)[:height, :width] / 2**octave
            weight += 0.5**octave
        return total / weight

    def vary(self, color: Color, amount: float) -> Color:
        """`color` a little lighter or darker, warmer or cooler."""
        light, warm = (self.key.random(2) - 0.5) * amount
        red, green, blue = color
        return red * (1 + light + warm / 2), green * (1 + light), blue * (1 + light - warm / 2)

    def fill(self, points: Points, color: Color, texture: str = "plain", opacity: float = 1.0) -> None:
        """A polygon; `texture` multiplies its color."""
        self._stamp(points, 0, lambda draw, corners: draw.polygon(corners, fill=255), color, texture, opacity)

    def box(self, x: float, y: float, width: float, height: float, color: Color, texture: str = "plain") -> None:
        """An upright rectangle by its upper left corner."""
        self.fill([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color, texture)

    def line(self, points: Points, width: float, color: Color, texture: str = "plain", opacity: float = 1.0) -> None:
        """An open line of round joints."""
        thick = max(1, round(width * SCALE))

        def draw_line(draw: ImageDraw.ImageDraw, corners: list[tuple[float, float]]) -> None:
            draw.line(corners, fill=255, width=thick, joint="curve")

        self._stamp(points, width, draw_line, color, texture, opacity)

    def dab(self, x: float, y: float, rx: float, ry: float, color: Color, opacity: float = 1.0) -> None:
        """An ellipse: a touch of the brush."""

        def draw_ellipse(draw: ImageDraw.ImageDraw, corners: list[tuple[float, float]]) -> None:
            draw.ellipse([corners[0], corners[1]], fill=255)

        self._stamp([(x - rx, y - ry), (x + rx, y + ry)], 0, draw_ellipse, color, "plain", opacity)

    def _stamp(self, points: Points, margin: float, draw: Callable, color: Color, texture: str, opacity: float) -> None:
        corners = np.asarray(points, np.float64) * SCALE
        low = np.maximum(np.floor(corners.min(0) - margin * SCALE - 1), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(0) + margin * SCALE + 2), self.shape[::-1]).astype(int)
        if (high <= low).any():
            return
        mask = Image.new("L", (int(high[0] - low[0]), int(high[1] - low[1])))
        draw(ImageDraw.Draw(mask), [(float(x), float(y)) for x, y in corners - low])
        place = np.s_[low[1] : high[1], low[0] : high[0]]
        share = (np.asarray(mask, np.float64) / 255 * opacity)[..., None]
        self.pixels[place] += share * (np.asarray(color) * self.textures[texture][place][..., None] - self.pixels[place])


def _courses(canvas: Canvas, height: float, width: float, contrast: float) -> Float[np.ndarray, "h w"]:
    """Courses of tiles or stones: each of its own lightness, shifted from row to row, dark where they join."""
    y, x = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]] / SCALE
    y = y + 2.5 * (canvas.noise(60, 2) - 0.5)
    row = np.floor(y / height).astype(int)
    shift = canvas.key.random(int(row.max()) + 2)[row] * width
    along = (x + shift) / width + 0.5 * (canvas.noise(40, 2) - 0.5)
    column = np.floor(along).astype(int)
    lightness = canvas.key.random((101, 211))[row % 101, column % 211]
    joint = (y / height - row > 0.78) | (along - column > 1 - 0.9 / width)
    return (1 + contrast * (lightness - 0.5)) * np.where(joint, 0.80, 1.0)


def finish(canvas: Canvas) -> UInt8[np.ndarray, "h w 3"]:
    """The painting as a picture: lines wander as a hand does, washes pool, edges are inked, the paper has grain."""
    height, width = canvas.shape
    bend = [2.6 * SCALE * (canvas.noise(34, 3) - 0.5) for _ in range(2)]
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    pixels = sample(canvas.pixels, y + bend[0], x + bend[1])
    light = pixels @ np.array([0.3, 0.59, 0.11])
    edges = np.hypot(*np.gradient(_blur(light, 1)))
    ink = 1 - 0.55 * np.clip((edges - 5) / 34, 0, 1) * (0.55 + 0.9 * (canvas.noise(9, 2) - 0.5))
    pixels = pixels * ink[..., None]
    for channel in range(3):  # pigment settles by itself: each color a little otherwise
        pixels[..., channel] *= 1 + 0.13 * (canvas.noise(90, 6) - 0.5)
    pixels *= (1 + 0.24 * (_blur(canvas.key.random(canvas.shape), 1) - 0.5))[..., None]
    small = pixels.reshape(height // SCALE, SCALE, width // SCALE, SCALE, 3).mean((1, 3))
    return np.round(np.clip(small, 0, 255)).astype(np.uint8)


def sample(
    pixels: Float[np.ndarray, "h w 3"], y: Float[np.ndarray, "a b"], x: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "a b 3"]:
    """`pixels` at places between them, by linear interpolation; outside, the nearest one."""
    height, width, _ = pixels.shape
    y, x = np.clip(y, 0, height - 1.001), np.clip(x, 0, width - 1.001)
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top)[..., None], (x - left)[..., None]
    upper = pixels[top, left] * (1 - right) + pixels[top, left + 1] * right
    lower = pixels[top + 1, left] * (1 - right) + pixels[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _blur(values: Float[np.ndarray, "h w"], times: int) -> Float[np.ndarray, "h w"]:
    def once(field: np.ndarray, _: int) -> np.ndarray:
        for axis in (0, 1):
            field = (np.roll(field, 1, axis) + 2 * field + np.roll(field, -1, axis)) / 4
        return field

    return functools.reduce(once, range(times), values)
