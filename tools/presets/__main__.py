"""Makes nst_jax/studio/presets/NAME.webp, each a small picture by that preset: `python -m tools.presets [NAME ...]`.

The photo is the cat, the painting The Starry Night, of `drawing` the engraving (see nst_jax/images/bundled/README.md); some
minutes on two cores.
"""

import sys

import numpy as np

import nst_jax
from nst_jax.images.files import resize, to_pillow
from nst_jax.studio.look import PRESET_PICTURES, PRESETS

SIZE, SIDE = 224, 128  # pixels: of the run's longer side, and of the square that is cut from its middle


def main(names: list[str]) -> None:
    """Makes the pictures of these presets, or of all."""
    for name in names or PRESETS:
        style = "engraving" if name == "drawing" else "starry"
        pixels = nst_jax.transfer("cat", style, experiment=name, size=SIZE).pixels
        to_pillow(resize(_square(pixels)[None], (SIDE, SIDE))[0]).save(PRESET_PICTURES / f"{name}.webp", quality=80, method=6)


def _square(pixels: np.ndarray) -> np.ndarray:
    """The middle of a picture, [h, w, 3]."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


if __name__ == "__main__":
    main(sys.argv[1:])
