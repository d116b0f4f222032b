"""How far the pictures of a sweep of one size differ from each other: LPIPS (AlexNet) of each pair, in Markdown.

pip install -e ".[lpips]" && python experiments/014-start-and-size/differences.py sweeps/FOLDER
"""

import sys
from pathlib import Path

from experiments.figures import markdown
from nst_jax.cache import use_compilation_cache
from nst_jax.evaluate.heldout import judge
from nst_jax.images.files import read_image
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import shown


def main() -> None:
    """Prints the table."""
    use_compilation_cache()
    sweep = SweepFolder(Path(sys.argv[1]))
    record = sweep.read()
    names = [" ".join(shown(line.partition("=")[2]) for line in member["overrides"]) for member in record["members"]]
    pictures = [read_image(sweep.member(number).result).pixels for number in range(len(names))]
    rows = [
        {"LPIPS": name} | {other: judge("alexnet", y, y, x).lpips for other, y in zip(names, pictures, strict=True)}
        for name, x in zip(names, pictures, strict=True)
    ]
    print(markdown(rows))


if __name__ == "__main__":
    main()
