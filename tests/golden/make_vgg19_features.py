"""Makes vgg19_features.npz: activations of PyTorch on the bundled VGG-19 parameters, a few of each layer.

Run as `python -m tests.golden.make_vgg19_features` where PyTorch is installed.
"""

from pathlib import Path
from typing import Any

import numpy as np

# Entries kept of each map, at fixed random places.
SAMPLES = 512


def golden_image():
    """A smooth colored pattern with noise on it, [1, 64, 48, 3]; neither side divides by 32."""
    rows, columns = np.mgrid[0:64, 0:48].astype(np.float32)
    waves = [0.5 + 0.4 * np.sin(rows / (5 + 3 * i) + columns / (9 - 2 * i)) for i in range(3)]
    noise = np.random.default_rng(0).random((64, 48, 3), np.float32)
    return np.clip(np.stack(waves, axis=-1) * np.float32(0.8) + noise * np.float32(0.2), 0, 1).astype(np.float32)[None]


def sample(feature_map):
    """`SAMPLES` entries of a map [1, h, w, c], at places that depend on its shape alone."""
    places = np.random.default_rng(feature_map.size).choice(feature_map.size, SAMPLES, replace=False)
    return feature_map.reshape(-1)[places]


def main():
    """Writes the file beside this script."""
    from experiments.lib.torch_twin import features
    from nst_jax.networks.convnet import layer_names
    from nst_jax.networks.params.store import load_params

    relus = tuple(name for name in layer_names("vgg19") if name.startswith("relu"))
    maps = features(load_params("vgg19"), golden_image(), relus)
    arrays: dict[str, Any] = {name: sample(found) for name, found in maps.items()}
    np.savez_compressed(Path(__file__).parent / "vgg19_features.npz", **arrays)


if __name__ == "__main__":
    main()
