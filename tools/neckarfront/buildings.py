"""Houses with their gables to the river, the church, and Hölderlin's tower."""

from typing import NamedTuple

import numpy as np

from tools.neckarfront.painting import Canvas, Color

STREET = 514  # the row of the ground before the houses
ROOF: Color = (178, 84, 58)
SLATE: Color = (78, 86, 100)
_TIMBER: Color = (92, 60, 42)
_GLASS: Color = (62, 80, 98)
_FRAME: Color = (244, 238, 222)
_SANDSTONE: Color = (196, 170, 132)


class House(NamedTuple):
    """A gabled house with its front to the river; places in pixels, `timbered` from the second floor up."""

    x: float
    width: float
    eaves: float
    ridge: float
    wall: Color
    shutters: Color
    roof: Color = ROOF
    timbered: bool = False
    base: float = STREET


def house(canvas: Canvas, house: House) -> None:
    """A front with its side wall and roof behind it, to the right."""
    left, right, middle = house.x, house.x + house.width, house.x + house.width / 2
    depth, drop = 34, 3
    dark = tuple(0.66 * part for part in house.wall)
    canvas.fill(
        [(right, house.eaves), (right + depth, house.eaves - drop), (right + depth, house.base), (right, house.base)],
        (dark[0], dark[1], dark[2] * 1.12),
        "plaster",
    )
    far = middle + depth
    canvas.box(middle + depth * 0.6, house.ridge - 12, 8, 26, (150, 92, 74), "stones")
    canvas.fill(
        [(middle, house.ridge), (far, house.ridge - drop), (right + depth + 4, house.eaves + 4), (right, house.eaves + 6)],
        canvas.vary(house.roof, 0.1),
        "tiles",
    )
    gable = [(left, house.base), (left, house.eaves), (middle, house.ridge), (right, house.eaves), (right, house.base)]
    canvas.fill(gable, house.wall, "plaster")
    for step in range(6):  # the sun stands on the left: the light goes down towards the right, and up from the street
        start = left + house.width * (0.4 + step * 0.1)
        canvas.fill([(start, house.eaves + 8), (right, house.eaves + 8), (right, house.base), (start, house.base)],
                    (70, 60, 90), opacity=0.035)  # fmt: skip
        canvas.fill([(left, house.base), (right, house.base), (right, house.base - 9 * step), (left, house.base - 9 * step)],
                    (96, 84, 70), opacity=0.05)  # fmt: skip
    canvas.box(left, house.base - 15, house.width, 15, _SANDSTONE, "stones")
    floors = _floors(house)
    if house.timbered:
        _timber(canvas, house, floors)
    for row, (top, height) in enumerate(floors):
        _windows(canvas, house, top, height, row)
    _verge(canvas, house)


def _floors(house: House) -> list[tuple[float, float]]:
    """(top, height) of each floor from the ground up, the ones in the gable included."""
    count = max(2, round((house.base - 15 - house.eaves) / 29))
    height = (house.base - 15 - house.eaves) / count
    above = int((house.eaves - house.ridge) / height - 0.35)
    return [(house.base - 15 - height * (floor + 1), height) for floor in range(count + above)]


def _half_width(house: House, y: float) -> float:
    """Half of the width that the front has at height `y`."""
    inside = (y - house.ridge) / (house.eaves - house.ridge)
    return house.width / 2 * min(1.0, max(0.0, inside))


def _timber(canvas: Canvas, house: House, floors: list[tuple[float, float]]) -> None:
    middle = house.x + house.width / 2
    for row, (top, height) in enumerate(floors[1:], start=1):
        half_top, half_foot = _half_width(house, top), _half_width(house, top + height)
        canvas.line([(middle - half_foot, top + height), (middle + half_foot, top + height)], 3.2, _TIMBER, "wood")
        canvas.line([(middle - half_top, top), (middle + half_top, top)], 2.6, _TIMBER, "wood")
        posts = max(2, int(half_top * 2 / 20))
        for post in np.linspace(-half_top + 2, half_top - 2, posts + 1):
            canvas.line([(middle + post, top), (middle + post, top + height)], 2.4, _TIMBER, "wood")
        lean = 10 if row % 2 else -10
        for side in (-1, 1):
            foot = middle + side * (half_top - 3)
            canvas.line([(foot, top + height), (foot - side * abs(lean), top)], 2.2, _TIMBER, "wood")
        canvas.line([(middle - half_top, top + height * 0.62), (middle + half_top, top + height * 0.62)], 1.8, _TIMBER)


def _windows(canvas: Canvas, house: House, top: float, height: float, row: int) -> None:
    middle, half = house.x + house.width / 2, _half_width(house, top - 2)
    high, wide = height * 0.56, 9.5
    gap = 24 if house.width > 90 else 21
    count = int((half * 2 - 6) / gap)
    if count == 0 and half > 9:
        count = 1
    for number in range(count):
        x, y = middle + (number - (count - 1) / 2) * gap - wide / 2, top + height * 0.2
        if row == 0 and number == count // 2:
            canvas.box(x - 1, y + 2, wide + 2, height - 6, (104, 68, 48), "wood")
            canvas.dab(x + wide / 2, y + 3, wide / 2 + 1, 5, (104, 68, 48))
            continue
        canvas.box(x - 1.6, y - 1.6, wide + 3.2, high + 3.2, _FRAME)
        canvas.box(x, y, wide, high, canvas.vary(_GLASS, 0.6))
        canvas.fill([(x, y + high), (x, y + high * 0.4), (x + wide * 0.7, y)], (168, 190, 204), opacity=0.55)
        canvas.line([(x + wide / 2, y), (x + wide / 2, y + high)], 1.2, _FRAME)
        canvas.line([(x, y + high * 0.42), (x + wide, y + high * 0.42)], 1.0, _FRAME)
        canvas.box(x - 2.4, y + high + 1.4, wide + 5, 1.8, (150, 138, 120))
        if canvas.key.random() < 0.8 and count > 1:
            for side in (x - 6, x + wide + 1.8):
                canvas.box(side, y - 1, 4.2, high + 2, canvas.vary(house.shutters, 0.2), "wood")
        if canvas.key.random() < 0.3:
            for _ in range(12):
                flower = ((206, 52, 60), (232, 120, 140), (92, 132, 70), (92, 132, 70))[canvas.key.integers(4)]
                canvas.dab(x - 2 + (wide + 4) * canvas.key.random(), y + high + 2 * canvas.key.random(), 1.5, 1.3, flower)


def _verge(canvas: Canvas, house: House) -> None:
    """The edge of the roof over the gable and the shadow that it casts."""
    middle = house.x + house.width / 2
    slope = (house.eaves - house.ridge) / (house.width / 2)
    for side in (-1, 1):
        foot = (middle + side * (house.width / 2 + 6), house.eaves + 6 * slope)
        inner = [(middle, house.ridge + 7), (foot[0] - side * 5, foot[1] + 2)]
        canvas.line(inner, 5, (64, 48, 62), opacity=0.35)
        canvas.line([(middle, house.ridge - 1), foot], 5.2, canvas.vary(house.roof, 0.08), "tiles")
        canvas.line([(middle, house.ridge + 2), (foot[0] - side * 2, foot[1] + 2)], 1.4, _TIMBER)


def church(canvas: Canvas) -> None:
    """The collegiate church of St. George: nave, choir and the tower with its gallery, clock and spire."""
    stone: Color = (214, 196, 160)
    canvas.fill([(704, 232), (722, 166), (868, 160), (892, 232)], (170, 84, 62), "tiles")
    canvas.box(706, 230, 184, 120, stone, "stones")
    for x in range(742, 884, 26):
        canvas.box(x, 246, 10, 44, (92, 98, 112))
        canvas.dab(x + 5, 246, 5, 8, (92, 98, 112))
        canvas.box(x + 15, 234, 5, 80, (188, 168, 136), "stones")
    canvas.box(662, 150, 62, 190, stone, "stones")
    canvas.fill([(700, 150), (724, 150), (724, 340), (700, 340)], (96, 82, 96), opacity=0.36)
    canvas.box(668, 108, 50, 46, canvas.vary(stone, 0.05), "stones")
    canvas.fill([(698, 108), (718, 108), (718, 154), (698, 154)], (96, 82, 96), opacity=0.36)
    for x, y, high in ((680, 186, 34), (699, 186, 34), (680, 118, 20), (698, 118, 20)):
        canvas.box(x, y, 8, high, (84, 80, 88))
        canvas.dab(x + 4, y, 4, 6, (84, 80, 88))
    canvas.box(658, 148, 70, 6, (186, 166, 132), "stones")
    canvas.box(664, 105, 58, 5, (186, 166, 132), "stones")
    canvas.dab(693, 168, 9.5, 9.5, (232, 204, 120))
    canvas.dab(693, 168, 7.6, 7.6, (58, 84, 120))
    canvas.line([(693, 168), (693, 162)], 1.2, (244, 226, 160))
    canvas.line([(693, 168), (697, 170)], 1.2, (244, 226, 160))
    canvas.fill([(666, 105), (676, 82), (710, 82), (720, 105)], SLATE, "tiles")
    canvas.fill([(677, 82), (693, 22), (709, 82)], SLATE, "tiles")
    canvas.fill([(693, 22), (709, 82), (697, 82)], (40, 40, 56), opacity=0.4)
    canvas.line([(693, 24), (693, 8)], 1.6, (196, 164, 88))
    canvas.line([(689, 13), (697, 13)], 1.6, (196, 164, 88))


def tower_by_the_river(canvas: Canvas) -> None:
    """Hölderlin's tower, yellow and round, with its wing."""
    house(canvas, House(128, 56, 436, 392, (236, 200, 112), (110, 122, 100), (128, 84, 72)))
    yellow: Color = (242, 204, 104)
    canvas.box(84, 424, 62, 114, yellow, "plaster")
    for step in range(12):
        canvas.fill([(112 + step * 2.8, 424), (146, 424), (146, 538), (112 + step * 2.8, 538)], (92, 66, 70), opacity=0.045)
    for y in (436, 464, 492):
        for x, wide in ((92, 7), (110, 9), (130, 7)):
            canvas.box(x - 1.4, y - 1.4, wide + 2.8, 17.8, _FRAME)
            canvas.box(x, y, wide, 15, canvas.vary(_GLASS, 0.5))
            canvas.line([(x + wide / 2, y), (x + wide / 2, y + 15)], 1.1, _FRAME)
            canvas.line([(x, y + 6), (x + wide, y + 6)], 1.0, _FRAME)
    canvas.box(82, 519, 66, 20, _SANDSTONE, "stones")
    canvas.fill([(76, 426), (115, 356), (154, 426)], SLATE, "tiles")
    canvas.fill([(115, 356), (154, 426), (122, 426)], (34, 34, 52), opacity=0.35)
    canvas.line([(115, 358), (115, 344)], 1.6, (120, 100, 70))
    canvas.dab(115, 345, 2.2, 2.2, (214, 178, 96))
