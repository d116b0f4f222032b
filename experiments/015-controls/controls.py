"""One sheet of what the controls do: several styles, layers, masks, colors, and the scale of the strokes.

    python experiments/015-controls/controls.py --content FILE --styles FILE FILE --out FOLDER [--size 160]

Writes a picture for each control and sheet.jpg, the pictures in the order of `controls`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nst_jax
from experiments.lib.figures import mosaic
from nst_jax.images.files import read_image

FINE, COARSE = ["relu1_1", "relu2_1"], ["relu3_1", "relu4_1", "relu5_1"]


def controls(sky: np.ndarray) -> dict[str, tuple[list[int], dict[str, Any]]]:
    """By name: which of the two styles, and the options."""
    both = [0, 1]
    return {
        "style 1": ([0], {}),
        "style 2": ([1], {}),
        "blend 0.5, 0.5": (both, {}),
        "fine of 1, coarse of 2": (both, {"style": {"layers": [FINE, COARSE]}}),
        "fine of 2, coarse of 1": (both, {"style": {"layers": [COARSE, FINE]}}),
        "sky in 1, rest in 2": (both, {"masks": [sky, None]}),
        "sky in 1, rest unpainted": ([0], {"masks": [sky, None], "mask": {"weights": [1, 0]}}),
        "luminance": ([0], {"color": "luminance"}),
        "match": ([0], {"color": "match"}),
        "scale 0.5": ([0], {"style": {"scale": 0.5}}),
        "scale 2": ([0], {"style": {"scale": 2.0}}),
        "no content": ([0], {"loss": {"content_layers": []}, "init": "noise"}),
    }


def sky_of(content: np.ndarray) -> np.ndarray:
    """The upper 40 % with a soft edge, in [0, 1]."""
    height, width = content.shape[:2]
    ramp = np.clip((0.45 - np.arange(height) / height) / 0.1, 0, 1)
    return np.broadcast_to(ramp[:, None], (height, width)).astype(np.float32)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--styles", type=Path, nargs=2, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=160)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    content, *styles = (read_image(path).pixels[0] for path in (args.content, *args.styles))
    scales = [args.size // 2, args.size]
    pictures = {}
    for name, (which, options) in controls(sky_of(content)).items():
        settings: Any = {"init": "content"} | options
        painted = nst_jax.transfer(
            content, [styles[i] for i in which], size=args.size, scales=scales, steps=[60, 40], **settings
        )
        path = args.out / f"{len(pictures):02d}.png"
        painted.save(path)
        pictures[name] = Image.open(path).convert("RGB")
        print(name, round(painted.seconds["total"], 1), flush=True)
        mosaic(list(pictures.values()), 4, list(pictures)).save(args.out / "sheet.jpg", quality=88)


if __name__ == "__main__":
    main()
