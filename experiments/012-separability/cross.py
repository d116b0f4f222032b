"""The losses of every picture of a sweep of `experiment=separability` to every content and every style, in Markdown.

python experiments/012-separability/cross.py sweeps/FOLDER
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib.figures import markdown
from nst_jax.config.compose import from_yaml
from nst_jax.config.to_spec import to_spec
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.images.named import find_image
from nst_jax.networks import load
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.system.compilation_cache import use_compilation_cache


def losses(sweep: SweepFolder, contents: list[str], styles: list[str]) -> np.ndarray:
    """[content, style, other content or style, term]: the losses of the picture of (content, style) to the others."""
    config = from_yaml(sweep.member(0).read_config(), str(sweep.path))
    spec = to_spec(config, architecture="vgg19").objective
    assert isinstance(spec, ObjectiveSpec)
    network = load("vgg19", taps=spec.taps, convolution=spec.network.convolution)
    weights = LossWeights(equal(spec.content_layers), equal(spec.style_layers), jnp.float32(0))
    targets, loss = jax.jit(spec.targets), jax.jit(spec.loss)
    originals = {name: find_image(name).pixels for name in {*contents, *styles}}
    shape = len(contents), len(styles)
    found = np.zeros((*shape, max(shape), 2))
    for number in range(shape[0] * shape[1]):
        image = read_image(sweep.member(number).result).pixels
        for other, (content, style) in enumerate(zip(contents, styles, strict=True)):
            _, height, width, _ = originals[style].shape
            size = fit_long_side(height, width, max(image.shape[1:3]))
            pair = resize(originals[content], image.shape[1:3]), resize(originals[style], size)
            target = targets(network.params, jnp.asarray(pair[0]), Styles((jnp.asarray(pair[1]),)))
            terms = loss(network.params, jnp.asarray(image), target, weights)[1]
            found[(*divmod(number, shape[1]), other)] = float(terms["content"]), float(terms["style"])
    return found


def equal(layers: Sequence[str]) -> dict[str, jax.Array]:
    """The weights of layers that count alike, 1 in all."""
    return {name: jnp.float32(1 / len(layers)) for name in layers}


def shares(table: np.ndarray) -> list[float]:
    """Of the variance of log `table`: what its rows explain, what its columns explain, and what is left for both together.

    Example:
        >>> shares(np.array([[1.0, 1.0], [2.0, 2.0]]))
        [1.0, 0.0, 0.0]
    """
    x = np.log(table)
    total = np.sum((x - x.mean()) ** 2)
    by = [x.shape[1 - axis] * np.sum((x.mean(1 - axis) - x.mean()) ** 2) / total for axis in (0, 1)]
    return [float(share) for share in (*by, 1 - sum(by))]


def main() -> None:
    """Prints the matrices and the shares of variance."""
    use_compilation_cache()
    sweep = SweepFolder(Path(sys.argv[1]))
    contents, styles = sweep.read()["keys"].values()
    found = losses(sweep, contents, styles)
    for term, names in enumerate((contents, styles)):
        rows = [
            {"picture": f"{contents[i]} × {styles[j]}"} | dict(zip(names, map(float, found[i, j, :, term]), strict=True))
            for i in range(len(contents))
            for j in range(len(styles))
        ]
        print(f"{('content', 'style')[term]} loss to\n\n{markdown(rows)}\n")
    own = {
        "content loss": np.stack([found[i, :, i, 0] for i in range(len(contents))]),
        "style loss": np.stack([found[:, j, j, 1] for j in range(len(styles))], axis=1),
    }
    parts = ("by content", "by style", "by both together")
    print(markdown([{"variance of its log": name} | dict(zip(parts, shares(x), strict=True)) for name, x in own.items()]))


if __name__ == "__main__":
    main()
