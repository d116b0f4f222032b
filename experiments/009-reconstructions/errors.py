"""The errors of the content reconstructions of a sweep of `experiment=reconstructions`, layer by layer, in Markdown.

pip install -e ".[inversion]" && python experiments/009-reconstructions/errors.py sweeps/FOLDER
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures import markdown
from experiments.inversion_pictures import REFERENCE, picture
from nst_jax.cache import use_compilation_cache
from nst_jax.compose import from_yaml
from nst_jax.config import to_spec
from nst_jax.images.files import read_image, resize
from nst_jax.invert.error import mean_pairwise_distance
from nst_jax.networks import load, weights
from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.perform import read_picture
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder


def distances(network: NetworkSpec, layers: Sequence[str]) -> dict[str, float]:
    """By layer, the mean squared distance of the codes of two reference pictures, for each entry; "pixels" are a layer too."""
    params = load("vgg19", taps=tuple(layers), convolution=network.convolution).params
    encode = jax.jit(lambda x: features(params, x, tuple(layers), spec=network))
    codes = [jax.device_get(encode(jnp.asarray(picture(name)))) | {"pixels": picture(name)} for name in REFERENCE]
    return {layer: float(mean_pairwise_distance([code[layer] for code in codes])) for layer in codes[0]}


def error(folder: RunFolder, network: NetworkSpec, scales: dict[str, float]) -> dict[str, Any]:
    """Of one reconstruction: how far its code and its pixels are from the content's."""
    config = from_yaml(folder.read_config(), str(folder.path))
    (layer,) = config.loss.content_layers
    found = read_image(folder.result).pixels
    content = resize(read_picture(config.content, print).pixels, found.shape[1:3])
    rows = folder.read_metrics()
    params = load(config.network.name, taps=(layer,), convolution=network.convolution).params
    energy = jnp.mean(jax.jit(lambda p, x: features(p, x, (layer,), spec=network)[layer])(params, jnp.asarray(content)) ** 2)
    return {
        "layer": layer,
        "error, %": 100 * rows[-1]["content"] / scales[layer],
        "of the map's energy, %": 100 * rows[-1]["content"] / float(energy),
        "of the first step's loss, %": 100 * rows[-1]["content"] / rows[0]["content"],
        "pixels' error, %": 100 * float(np.mean((found - content) ** 2)) / scales["pixels"],
    }


def main() -> None:
    """Prints the table."""
    use_compilation_cache()
    sweep = SweepFolder(Path(sys.argv[1]))
    folders = [sweep.member(number) for number in range(len(sweep.read()["members"]))]
    configs = [from_yaml(folder.read_config(), str(folder.path)) for folder in folders]
    chosen = [(folder, config) for folder, config in zip(folders, configs, strict=True) if config.loss.content_layers]
    first = chosen[0][1]
    network = to_spec(first, architecture=weights.architecture(first.network.name)).objective.network
    scales = distances(network, [config.loss.content_layers[0] for _, config in chosen])
    print(markdown([error(folder, network, scales) for folder, _ in chosen]))


if __name__ == "__main__":
    main()
