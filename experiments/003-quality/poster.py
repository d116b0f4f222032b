"""How much of the look of a preview a poster keeps: `python experiments/003-quality/poster.py CONTENT STYLE PREVIEW SIZE OUT`.

Paints the default at PREVIEW pixels and experiment=poster at SIZE, and prints LPIPS between the one and the other, reduced to
PREVIEW, and for comparison LPIPS of the preview to the content. Needs nst_jax[lpips].
"""

import sys
from pathlib import Path

import nst_jax
from nst_jax.evaluate.heldout import judge
from nst_jax.images.files import read_image, resize


def main(content: str, style: str, preview: int, size: int, out: Path) -> None:
    """Paints, compares, prints."""
    out.mkdir(parents=True, exist_ok=True)
    small = nst_jax.transfer(content, style, size=preview, progress=False)
    large = nst_jax.transfer(content, style, experiment="poster", size=size, progress=False)
    small.save(out / "preview.png")
    large.save(out / "poster.png")
    pixels = small.pixels[None]
    height, width = pixels.shape[1:3]
    reduced = resize(large.pixels[None], (height, width))
    photo = resize(read_image(content).pixels, (height, width))
    for name, other in (("poster", reduced), ("content", photo)):
        print(name, f"{judge('alexnet', pixels, pixels, other).lpips:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
