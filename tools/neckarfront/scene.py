"""The Neckarfront in Tübingen: castle hill, the houses along the river, Hölderlin's tower, the church, a punt on the Neckar.

Everything comes from one seed: the same Pillow and NumPy give the same bytes.
"""

import io

from PIL import Image

from tools.neckarfront.buildings import House, church, house, tower_by_the_river
from tools.neckarfront.landscape import bank, foliage, hill_with_castle, mist, near_bank, sky
from tools.neckarfront.painting import Canvas, finish
from tools.neckarfront.river import punt, river, swans

WIDTH, HEIGHT = 1024, 768
SEED = 1843  # the year Hölderlin died in the tower by the river

_FRONT_ROW = (
    House(176, 72, 404, 344, (238, 222, 176), (86, 124, 92), (168, 78, 58)),
    House(250, 88, 378, 306, (240, 234, 220), (134, 52, 48), (150, 70, 56), timbered=True),
    House(342, 70, 412, 354, (226, 166, 152), (238, 230, 214), (184, 92, 62)),
    House(414, 100, 362, 282, (224, 172, 88), (98, 66, 48), (146, 66, 52), timbered=True),
    House(518, 82, 390, 324, (188, 204, 208), (72, 98, 124), (176, 86, 60)),
    House(602, 108, 344, 256, (206, 112, 66), (236, 224, 196), (138, 66, 54), timbered=True),
    House(714, 80, 380, 314, (244, 236, 210), (92, 132, 96), (182, 88, 58)),
    House(796, 98, 356, 272, (232, 158, 152), (246, 236, 222), (156, 72, 56)),
    House(898, 140, 324, 218, (240, 192, 82), (138, 58, 52), (166, 80, 58), timbered=True),
)
_BACK_ROW = (
    House(212, 84, 356, 296, (214, 190, 160), (110, 110, 96)),
    House(304, 92, 344, 278, (226, 212, 186), (120, 80, 70)),
    House(404, 88, 334, 262, (204, 150, 120), (220, 210, 190)),
    House(500, 96, 322, 248, (224, 208, 170), (96, 116, 104)),
    House(590, 90, 312, 240, (216, 186, 160), (110, 90, 84)),
    House(770, 96, 326, 246, (222, 202, 172), (120, 84, 74)),
    House(862, 90, 308, 232, (210, 170, 140), (226, 214, 196)),
)


def draw() -> Image.Image:
    """The picture, 1024 x 768."""
    canvas = Canvas(WIDTH, HEIGHT, SEED)
    sky(canvas)
    hill_with_castle(canvas)
    mist(canvas, 0.16)
    for each in _BACK_ROW:
        house(canvas, each)
        foliage(canvas, each.x, each.base - 150, 26, 22, (96, 128, 74))
    church(canvas)
    mist(canvas, 0.10)
    for each in _FRONT_ROW:
        house(canvas, each)
    tower_by_the_river(canvas)
    bank(canvas)
    river(canvas)
    punt(canvas, 560, 664, 1)
    swans(canvas)
    near_bank(canvas)
    return Image.fromarray(finish(canvas))


def encode(image: Image.Image) -> bytes:
    """The bytes of the bundled file."""
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=86, subsampling=0, optimize=True)
    return out.getvalue()
