"""Sky, hill, leaves, the wall along the river and what hangs into the picture from the near bank."""

from itertools import pairwise

import numpy as np

from tools.neckarfront.buildings import SLATE
from tools.neckarfront.painting import SCALE, Canvas, Color

WATER = 566  # the row of the river's edge


def sky(canvas: Canvas) -> None:
    """From blue to the pale gold over the horizon, with clouds lit from above and a flight of birds."""
    down = np.linspace(0, 1, canvas.shape[0])[:, None, None] / 0.62
    top, low = np.array([92, 148, 208]), np.array([250, 232, 200])
    blue = top + (low - top) * np.clip(down, 0, 1) ** 1.15
    shape = canvas.noise(120, 6, stretch=2.2)
    cover = np.clip((shape - 0.445) / 0.16, 0, 1)[..., None]
    lit = np.clip(0.5 + 9 * (shape - np.roll(shape, -7 * SCALE, axis=0)), 0, 1)[..., None]
    cloud = np.array([196, 196, 212]) + (np.array([255, 248, 236]) - np.array([196, 196, 212])) * lit
    canvas.pixels = blue + (cloud - blue) * cover * 0.88
    canvas.pixels *= (1 + 0.05 * (canvas.noise(12, 3, stretch=5) - 0.5))[..., None]
    for _ in range(9):
        x, y = 330 + 260 * canvas.key.random(), 60 + 90 * canvas.key.random()
        canvas.line([(x - 6, y - 3), (x, y), (x + 6, y - 4)], 1.2, (70, 76, 92))


def mist(canvas: Canvas, amount: float) -> None:
    """Sets back all that has been painted so far."""
    canvas.pixels += amount * (np.array([226, 222, 214]) - canvas.pixels)


def foliage(canvas: Canvas, x: float, y: float, rx: float, ry: float, color: Color) -> None:
    """A crown of leaves: touches of the brush from the dark below to the sunny upper left."""
    count = int(rx * ry * 0.62) + 24
    angle, radius = canvas.key.random(count) * 2 * np.pi, np.sqrt(canvas.key.random(count))
    lobes = canvas.key.random(2) * 2 * np.pi
    radius = radius * (0.86 + 0.20 * np.sin(3 * angle + lobes[0]) + 0.16 * np.sin(7 * angle + lobes[1]))
    across, up = radius * np.cos(angle), radius * np.sin(angle)
    sun = 0.5 - 0.32 * across + 0.42 * -up
    for index in np.argsort(sun + 0.9 * canvas.key.random(count)):
        shade = 0.40 + 0.84 * np.clip(sun[index], 0, 1.1)
        leaf = canvas.vary((color[0] * shade, color[1] * shade, color[2] * (0.25 + 0.7 * shade)), 0.30)
        size = 1.0 + 2.1 * canvas.key.random()
        canvas.dab(x + rx * across[index], y + ry * up[index], size * 1.3, size, leaf, 0.9)


def hill_with_castle(canvas: Canvas) -> None:
    """Hohentübingen on its wooded hill."""
    x = np.linspace(-20, 1044, 90)
    ridge = 330 - 104 * np.exp(-(((x - 200) / 190) ** 2)) - 34 * np.exp(-(((x - 900) / 260) ** 2))
    canvas.fill([*zip(x, ridge, strict=True), (1044, 520), (-20, 520)], (92, 120, 84), "plaster")
    for _ in range(300):
        place = canvas.key.random()
        tree_x = -10 + 1040 * place
        top = np.interp(tree_x, x, ridge)
        tree_y = top + 4 + 150 * canvas.key.random() ** 1.2
        foliage(canvas, tree_x, tree_y, 14, 10, canvas.vary((116, 146, 88), 0.35))
    wall: Color = (232, 218, 190)
    for left, width, foot, height in ((92, 66, 252, 42), (150, 150, 240, 40), (292, 50, 252, 46)):
        canvas.box(left, foot - height, width, height, wall, "plaster")
        roof = [(left - 4, foot - height), (left + 9, foot - height - 24), (left + width - 9, foot - height - 24)]
        canvas.fill([*roof, (left + width + 4, foot - height)], (172, 88, 66), "tiles")
        for window in range(left + 8, left + width - 6, 12):
            for floor in (0, 17):
                canvas.box(window, foot - height + 7 + floor, 4, 7, (96, 96, 104))
    for left, top in ((76, 186), (334, 192)):
        canvas.box(left, top, 26, 66, (220, 204, 174), "stones")
        canvas.box(left + 18, top, 8, 66, (176, 160, 140), "stones")
        canvas.fill([(left - 3, top), (left + 13, top - 30), (left + 29, top)], SLATE, "tiles")
    for left in range(64, 372, 12):
        foliage(canvas, left, 254 + 8 * canvas.key.random(), 13, 10, (104, 136, 78))


def bank(canvas: Canvas) -> None:
    """The wall along the river, the bushes on it, ivy and a willow."""
    canvas.fill([(-4, 520), (1028, 510), (1028, WATER + 4), (-4, WATER + 4)], (190, 164, 126), "stones")
    canvas.fill([(-4, 515), (1028, 505), (1028, 511), (-4, 522)], (216, 196, 160), "plaster")
    for step in range(8):
        canvas.fill([(-4, WATER + 4), (1028, WATER + 4), (1028, WATER - 4 * step), (-4, WATER - 4 * step)],
                    (62, 74, 62), opacity=0.10)  # fmt: skip
    for x in range(172, 1030, 15):
        if canvas.key.random() < 0.72:
            size = 9 + 13 * canvas.key.random()
            foliage(canvas, x, 506 - size * 0.35, size * 1.15, size, canvas.vary((120, 150, 76), 0.35))
    for _ in range(26):
        x, long = 1024 * canvas.key.random(), 12 + 26 * canvas.key.random()
        foliage(canvas, x, 514 + long / 2, 8, long / 2, (98, 128, 66))
    for x, y, size in ((16, 470, 46), (58, 488, 36), (-6, 420, 44), (36, 432, 34)):
        foliage(canvas, x, y, size, size * 0.9, (132, 156, 76))
    for _ in range(150):
        x, y = -10 + 92 * canvas.key.random(), 410 + 70 * canvas.key.random()
        fall = 50 + 60 * canvas.key.random()
        sway = 8 * (canvas.key.random() - 0.5)
        leaf = canvas.vary((160, 174, 86), 0.4)
        canvas.line([(x, y), (x + sway, y + fall / 2), (x + sway * 0.6, y + fall)], 1.3, leaf, opacity=0.8)


def near_bank(canvas: Canvas) -> None:
    """A plane tree leans in from the island avenue on the near bank, at the upper left; reeds stand below."""
    bark: Color = (104, 84, 66)
    boughs = (
        ((-10, 66), (70, 74), (140, 52), (226, 66)),
        ((-10, 20), (60, 34), (130, 18), (190, 26)),
        ((40, 70), (90, 112), (150, 128)),
        ((-10, 120), (34, 140), (70, 180)),
    )
    for bough in boughs:
        for thick, (start, end) in enumerate(pairwise(bough)):
            canvas.line([start, end], 7 - 1.9 * thick, bark, "wood")
        for start, end in pairwise(bough):
            for _ in range(9):
                along, size = canvas.key.random(), 7 + 8 * canvas.key.random()
                x, y = (a + along * (b - a) for a, b in zip(start, end, strict=True))
                tip = (x + 30 * (canvas.key.random() - 0.4), y + 44 * (canvas.key.random() - 0.42))
                canvas.line([(x, y), tip], 1.5, bark)
                foliage(canvas, *tip, size * 1.25, size * 0.8, canvas.vary((142, 158, 62), 0.5))
    for _ in range(120):
        x, high = -8 + 150 * canvas.key.random() ** 1.5, 40 + 74 * canvas.key.random()
        tip = x + 26 * (canvas.key.random() - 0.35)
        canvas.line([(x, 772), ((x + tip) / 2 - 2, 772 - high * 0.6), (tip, 772 - high)], 2.0,
                    canvas.vary((112, 132, 66), 0.6), opacity=0.92)  # fmt: skip
