"""Pictures of several systems on pairs of contents and styles, their scores, and a sheet.

python experiments/017-neighbors/compare.py --images FOLDER --out FOLDER C1xS3 C4xS2
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nst_jax
from experiments.lib.figures import markdown, mosaic
from nst_jax.evaluate import scores
from nst_jax.images.files import read_image, resize

SYSTEMS: dict[str, dict[str, Any]] = {"default": {}, "neighbors": {"loss": "neighbors"}}
SHOWN = ("lpips_alex", "style_w2_alex", "style_w2_vgg16", "color_w2", "tv_ratio")
SIDE = 128  # of a picture on the sheet


def main() -> None:
    """The command line; pictures that are in the folder already are not made again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("pairs", nargs="+")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    small = {"size": options.size, "steps": options.steps}
    rows, pictures = [], []
    for pair in options.pairs:
        names = pair.split("x")
        files = [next(options.images.rglob(f"{name}.jpg")) for name in names]
        content, style = (read_image(file).pixels for file in files)
        shown = [content, style]
        for system, settings in SYSTEMS.items():
            path = options.out / f"{pair}-{system}.png"
            if not path.exists():
                result = nst_jax.transfer(*files, progress=False, **small | settings)
                result.save(path)
                path.with_suffix(".json").write_text(json.dumps(result.seconds))
            image = read_image(path).pixels
            found, seconds = scores(content, style, image), json.loads(path.with_suffix(".json").read_text())
            rows.append({"pair": pair, "system": system, "s": seconds["steps"]} | {name: found[name] for name in SHOWN})
            print(rows[-1], flush=True)
            shown.append(image)
        pictures += [_small(pixels) for pixels in shown]
    (options.out / "scores.json").write_text(json.dumps(rows, indent=2))
    mosaic(pictures, 8).save(options.out / "sheet.jpg", quality=80)
    print(markdown(rows))


def _small(pixels: Any) -> Image.Image:
    height, width = pixels.shape[1:3]
    scale = SIDE / max(height, width)
    small = resize(pixels, (round(height * scale), round(width * scale)))[0]
    square = np.ones((SIDE, SIDE, 3), np.float32)
    square[: small.shape[0], : small.shape[1]] = small
    return Image.fromarray(np.round(np.clip(square, 0, 1) * 255).astype(np.uint8))


if __name__ == "__main__":
    main()
