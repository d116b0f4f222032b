"""How far the pictures of a sweep are from each other: LPIPS (AlexNet) of each pair, at the size of the smaller, in Markdown.

pip install -e ".[lpips]" && python experiments/014-start-and-size/differences.py sweeps/FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from experiments.lib.figures import markdown
from nst_jax.evaluate.heldout import judge
from nst_jax.images.files import read_image, resize
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import format_setting, value_of
from nst_jax.system.compilation_cache import use_compilation_cache


def main() -> None:
    """Prints the table."""
    use_compilation_cache()
    sweep = SweepFolder(Path(sys.argv[1]))
    record = sweep.read()
    settings = [[value_of(member["overrides"], key) for key in record["keys"]] for member in record["members"]]
    names = [" ".join(format_setting(value) for value in values if value is not None) for values in settings]
    pictures = [read_image(sweep.member(number).result).pixels for number in range(len(names))]
    rows = [
        {"LPIPS": name} | {other: distance(x, y) if x is not y else None for other, y in zip(names, pictures, strict=True)}
        for name, x in zip(names, pictures, strict=True)
    ]
    print(markdown(rows))


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """LPIPS of two pictures, the larger one brought to the size of the smaller."""
    size = min(x.shape[1:3], y.shape[1:3])
    x, y = (resize(picture, size) for picture in (x, y))
    return judge("alexnet", y, y, x).lpips


if __name__ == "__main__":
    main()
