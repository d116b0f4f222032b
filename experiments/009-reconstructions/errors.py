"""The errors of the content reconstructions of a sweep of `experiment=reconstructions`, layer by layer, in Markdown.

pip install -e ".[inversion]" && python experiments/009-reconstructions/errors.py sweeps/FOLDER
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib.figures import markdown
from experiments.lib.inversion_pictures import REFERENCE, picture
from nst_jax.config.compose import from_yaml
from nst_jax.config.to_spec import to_spec
from nst_jax.images.files import read_image, resize
from nst_jax.invert.run import mean_pairwise_distance
from nst_jax.networks import load
from nst_jax.networks.convnet import NetworkSpec, features
from nst_jax.runner.prepare import read_picture
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.types import Pixels


def encoder(network: NetworkSpec, layers: Sequence[str]) -> Callable[[Pixels], dict[str, np.ndarray]]:
    """The codes of a picture, by layer; its "pixels" are a layer too."""
    params = load("vgg19", taps=tuple(layers), convolution=network.convolution).params
    encode = jax.jit(lambda p, x: features(p, x, tuple(layers), spec=network))
    return lambda x: jax.device_get(encode(params, jnp.asarray(x))) | {"pixels": x}


def error(layer: str, folder: RunFolder, target: dict[str, np.ndarray], scales: dict[str, float]) -> dict[str, Any]:
    """Of one reconstruction: how far its code and its pixels are from the content's."""
    found = read_image(folder.result).pixels
    rows = [row["content"] for row in folder.read_metrics()]
    return {
        "layer": layer,
        "error, %": 100 * rows[-1] / scales[layer],
        "of the map's energy, %": 100 * rows[-1] / float(np.mean(target[layer] ** 2)),
        "of the first step's loss, %": 100 * rows[-1] / rows[0],
        "pixels' error, %": 100 * float(np.mean((found - target["pixels"]) ** 2)) / scales["pixels"],
    }


def main() -> None:
    """Prints the table."""
    use_compilation_cache()
    sweep = SweepFolder(Path(sys.argv[1]))
    folders = [sweep.member(number) for number in range(len(sweep.read()["members"]))]
    configs = [from_yaml(folder.read_config(), str(folder.path)) for folder in folders]
    chosen = {layer: folder for folder, config in zip(folders, configs, strict=True) for layer in config.loss.content_layers}
    encode = encoder(to_spec(configs[0], architecture="vgg19").objective.network, list(chosen))
    height, width = read_image(folders[0].result).pixels.shape[1:3]
    target = encode(resize(read_picture(configs[0].content).pixels, (height, width)))
    codes = [encode(picture(name)) for name in REFERENCE]
    scales = {layer: float(mean_pairwise_distance([jnp.asarray(code[layer]) for code in codes])) for layer in target}
    print(markdown([error(layer, folder, target, scales) for layer, folder in chosen.items()]))


if __name__ == "__main__":
    main()
