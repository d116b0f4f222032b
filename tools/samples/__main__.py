"""Writes the bundled sample pictures: `python -m tools.samples FOLDER NAME ...`; see `nst_jax/images/bundled/README.md`."""

import io
import sys
from pathlib import Path

from PIL import Image

from nst_jax.system.atomic_write import atomic_write
from tools.samples import engraving, mosaic, puzzle

_BUNDLED = Path(__file__).parents[2] / "nst_jax" / "images" / "bundled"


def main(folder: str, name: str, source: str = "") -> None:
    """Writes NAME.jpg: mosaic, engraving, or one made from the file `source`."""
    if name == "mosaic":
        image = mosaic.draw()
    elif name == "engraving":
        image = engraving.draw(Image.open(_BUNDLED / "cat.jpg"))
    elif name in puzzle.BOARDS:
        image = puzzle.assemble(Path(source), name)
    else:
        image = Image.open(source)  # a photograph of scikit-image
    out = io.BytesIO()
    ours = name in ("mosaic", "engraving")
    image.save(out, format="JPEG", quality=84 if ours else 90, subsampling=2 if ours else 0, optimize=True)
    atomic_write(Path(folder) / f"{name}.jpg", out.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
