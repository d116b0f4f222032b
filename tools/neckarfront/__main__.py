"""Writes the bundled drawing: `python -m tools.neckarfront FILE`."""

import sys
from pathlib import Path

from nst_jax.system.atomic_write import atomic_write
from tools.neckarfront.scene import draw, encode

if __name__ == "__main__":
    atomic_write(Path(sys.argv[1]), encode(draw()))
