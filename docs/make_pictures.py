"""Makes the pictures of docs/controls.md, each by the command printed there: `python docs/make_pictures.py [NAME ...]`.

They are small and have few steps, so that all take some minutes on two cores and well below 1 MB.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import nst_jax
from nst_jax.images.files import read_image, resize

PICTURES = Path(__file__).parent / "pictures"
BUNDLED = Path(nst_jax.__file__).parent / "images" / "bundled"
PHOTO, PAINTING = BUNDLED / "neckarfront_drawing.jpg", BUNDLED / "starry_night.jpg"
WAVE, ENGRAVING = BUNDLED / "wave.jpg", BUNDLED / "engraving.jpg"
FACE, CAT = BUNDLED / "astronaut.jpg", BUNDLED / "cat.jpg"
SMALL: dict[str, Any] = {"size": 160, "scales": 2, "steps": 25}
# The name of a picture -> the settings that it is made with.
CONTROLS: dict[str, dict[str, Any]] = {
    "default": {},
    "style_weight_low": {"loss.style_weight": 0.2},
    "style_weight_high": {"loss.style_weight": 10},
    "style_scale_small": {"style.scale": 0.5},
    "style_scale_large": {"style.scale": 2},
    "color_luminance": {"color": "luminance"},
    "color_locked": {"color": "locked"},
    "color_match": {"color": "match"},
    "tv_weight": {"loss.tv_weight": 50},
    "layers": {"loss.style_layers": ["relu1_1", "relu2_1"]},
    "texture": {"loss.content_weight": 0, "init": "noise"},
    "adain": {"init": "adain", "steps": 1, "scales": 1},
    "gatys": {"loss": "gatys"},
    "preset_photo": {"experiment": "photo"},
}
# Likewise, of these contents and styles; a mask is that of the river.
OTHERS: dict[str, tuple[Path, list[Path], dict[str, Any]]] = {
    "preset_portrait": (FACE, [PAINTING], {"experiment": "portrait"}),
    "preset_drawing": (CAT, [ENGRAVING], {"experiment": "drawing"}),
    "preset_poster": (CAT, [PAINTING], {"experiment": "poster", "size": 384, "scales": 3, "steps": 15}),
    "blend": (PHOTO, [PAINTING, WAVE], {}),
    "layers_of_each": (
        PHOTO,
        [PAINTING, WAVE],
        {"style.layers": [["relu4_1", "relu5_1"], ["relu1_1", "relu2_1", "relu3_1"]]},
    ),
    "mask_regions": (PHOTO, [WAVE, PAINTING], {"masks": ["river", None]}),
    "mask_weights": (PHOTO, [PAINTING], {"masks": ["river", None], "mask.weights": [0, 1]}),
}


def main(names: list[str]) -> None:
    """Makes the pictures with these names, or all."""
    PICTURES.mkdir(exist_ok=True)
    given = {name: read_image(path).pixels for name, path in (("photo", PHOTO), ("painting", PAINTING), ("wave", WAVE))}
    for name, pixels in (given | {"mask": np.repeat(river()[None, ..., None], 3, -1)}).items():
        height, width = pixels.shape[1:3]
        write_small(name, resize(pixels, (round(SMALL["size"] * height / width), SMALL["size"])))
    for name in names or [*CONTROLS, *OTHERS]:
        content, styles, settings = OTHERS.get(name) or (PHOTO, [PAINTING], CONTROLS[name])
        options = SMALL | settings
        if "masks" in options:
            options["masks"] = [river() if mask else None for mask in options["masks"]]
        write_small(name, nst_jax.transfer(content, styles, **options).pixels)


def river() -> np.ndarray:
    """[768, 1024]: 1 on the water, 0 above it, softly between."""
    return np.repeat(np.clip((np.arange(768, dtype=np.float32)[:, None] - 560) / 16 + 0.5, 0, 1), 1024, 1)


def write_small(name: str, pixels: np.ndarray) -> None:
    """A JPEG without the record that a run would put into it."""
    from PIL import Image

    pixels = pixels if pixels.ndim == 3 else pixels[0]
    Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(PICTURES / f"{name}.jpg", quality=82)


if __name__ == "__main__":
    main(sys.argv[1:])
