"""The Neckar: what it mirrors and what swims on it."""

import numpy as np

from tools.neckarfront.landscape import WATER
from tools.neckarfront.painting import SCALE, Canvas, sample


def river(canvas: Canvas) -> None:
    """What stands above, mirrored: darker, blurred downwards, torn by waves that grow towards the beholder."""
    edge = WATER * SCALE
    rows = canvas.shape[0] - edge
    y, x = np.mgrid[0:rows, 0 : canvas.shape[1]].astype(np.float64)
    near = y / rows
    waves = canvas.noise(5, 3, stretch=9)[edge:] - 0.5
    swell = canvas.noise(16, 3, stretch=7)[edge:] - 0.5
    above = canvas.pixels[:edge].copy()
    water = np.zeros((rows, canvas.shape[1], 3))
    blurs = np.linspace(0, 1, 7)
    for blur in blurs:
        up = edge - 2 - y * 1.34 - SCALE * (waves * 16 + swell * 22) * (0.2 + near) - (3 + 15 * near) * SCALE * blur
        side = x + SCALE * (waves * 12 + swell * 15) * (0.2 + near)
        water += sample(above, up, side) / len(blurs)
    deep = np.array([44, 84, 96]) * (1 - 0.25 * near[..., None])
    share = (0.24 + 0.18 * near + 0.5 * np.clip(waves, 0, 1))[..., None]
    water += (deep - water) * share
    glint = np.clip((canvas.noise(3.2, 2, stretch=12)[edge:] - 0.66) * 9, 0, 1) * (0.25 + 0.5 * near)
    water += (np.array([232, 238, 236]) - water) * glint[..., None] * 0.62
    water *= (1 - 0.28 * np.exp(-y / (9 * SCALE)))[..., None]
    canvas.pixels[edge:] = water


def punt(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A Stocherkahn: long and flat, guests along its sides, the punter with the pole at the stern."""

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * size, y + dy * size

    for step in range(7):
        wide = 118 - 4 * step
        canvas.fill([at(-wide, 15), at(wide, 15), at(wide - 16, 20 + 5 * step), at(-wide + 16, 20 + 5 * step)],
                    (40, 44, 44), opacity=0.13)  # fmt: skip
    coats = ((190, 62, 58), (64, 98, 142), (226, 196, 110), (236, 230, 218), (96, 134, 92), (150, 84, 120))
    for seat in range(6):
        dx = -66 + 24 * seat + 5 * canvas.key.random()
        canvas.fill([at(dx - 6, 6), at(dx - 4, -10), at(dx + 4, -10), at(dx + 6, 6)], coats[seat], "plaster")
        canvas.dab(*at(dx, -14.5), 4 * size, 4.6 * size, (228, 184, 150))
        canvas.dab(*at(dx - 0.5, -17), 4.3 * size, 3 * size, canvas.vary((96, 66, 46), 0.9))
    canvas.fill([at(96, 4), at(98, -22), at(108, -22), at(110, 4)], (62, 70, 96), "plaster")
    canvas.fill([at(96, -18), at(99, -42), at(108, -42), at(111, -18)], (238, 232, 220), "plaster")
    canvas.line([at(106, -38), at(114, -30), at(119, -34)], 3.4, (238, 232, 220))
    canvas.line([at(100, -38), at(108, -26), at(121, -24)], 3.4, (226, 218, 206))
    canvas.dab(*at(103.5, -47.5), 4.2 * size, 5 * size, (228, 184, 150))
    canvas.fill([at(96, -50), at(111, -50), at(108, -55), at(99, -55)], (214, 178, 104))
    canvas.line([at(112, -96), at(128, 44)], 2.2, (170, 126, 76), "wood")
    canvas.fill([at(-126, -3), at(-104, 4), at(104, 4), at(124, -5), at(112, 13), at(92, 17), at(-96, 17), at(-114, 11)],
                (124, 80, 50), "wood")  # fmt: skip
    canvas.line([at(-126, -3), at(-104, 4), at(104, 4), at(124, -5)], 2.4, (184, 132, 84))
    canvas.line([at(-112, 11), at(-96, 14), at(92, 14), at(112, 11)], 1.6, (78, 50, 36))


def swans(canvas: Canvas) -> None:
    """Two, and a third that goes its own way."""
    for x, y, way in ((236, 648, 1), (284, 664, 1), (820, 622, -1)):
        for step in range(4):
            canvas.dab(x, y + 9 + 2 * step, 17 - 2 * step, 3, (214, 220, 216), 0.22)
        canvas.dab(x, y, 16, 7.5, (250, 248, 240))
        canvas.fill([(x - way * 8, y - 4), (x - way * 21, y - 9), (x - way * 12, y + 3)], (240, 238, 230))
        canvas.dab(x - way * 2, y + 2.5, 11, 4, (206, 208, 212), 0.6)
        neck = [(x + way * 12, y), (x + way * 17, y - 8), (x + way * 14, y - 17), (x + way * 18, y - 23)]
        canvas.line(neck, 3.6, (250, 248, 240))
        canvas.dab(x + way * 20, y - 23, 4, 3, (250, 248, 240))
        canvas.fill([(x + way * 23, y - 24), (x + way * 29, y - 21), (x + way * 23, y - 20)], (224, 118, 52))
