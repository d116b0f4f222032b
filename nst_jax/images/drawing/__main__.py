"""Writes the bundled drawing: `python -m nst_jax.images.drawing FILE`."""

import sys
from pathlib import Path

from nst_jax.disk import replace_file
from nst_jax.images.drawing.scene import draw, encode

if __name__ == "__main__":
    replace_file(Path(sys.argv[1]), encode(draw()))
