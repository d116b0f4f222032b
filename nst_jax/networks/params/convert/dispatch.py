"""Convert a network's parameter file of another project into the store's form, with a manifest entry of its origin.

The form is recognized by the file's first bytes, then by its keys and shapes, never by its name.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nst_jax.errors import InputError, check_one_of
from nst_jax.images.signatures import identify
from nst_jax.networks.architectures import ARCHITECTURES, Norm
from nst_jax.networks.params.convert.caffe import HEADS, read_caffe
from nst_jax.networks.params.convert.containers import read_state
from nst_jax.networks.params.convert.recognize import PREPROCESSINGS, TORCHVISION_VGG16, read_network
from nst_jax.networks.params.convert.rescale import mean_activations, normalize
from nst_jax.networks.params.convert.vlfeat import read_vlfeat
from nst_jax.networks.params.layout import StoredParams
from nst_jax.networks.params.save import check_free, save_cached
from nst_jax.networks.params.store import Entry

_log = logging.getLogger(__name__)

_OXFORD = ("CC BY 4.0", "Oxford VGG parameters by Karen Simonyan and Andrew Zisserman")
_CAFFE = "RGB in [0, 1] to BGR in [0, 255], less (103.939, 116.779, 123.68)"
_ILSVRC = "RGB in [0, 1] to BGR in [0, 255], less (104.007, 116.669, 122.679)"
_TORCHVISION = "RGB in [0, 1], less (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)"

# Form: its preprocessing in words, and license and credit of the files known in it.
FORMS = {
    "torchvision": (_TORCHVISION, "BSD 3-Clause", "parameters trained by torchvision"),
    "torchvision's names, Caffe's scale": (_CAFFE, *_OXFORD),
    "gatys": (_CAFFE, *_OXFORD),
    "adain": ("the file's own first convolution, on RGB in [0, 1]", *_OXFORD),
    "keras": (_CAFFE, *_OXFORD),
    "caffe": (_ILSVRC, "unrestricted, as Caffe's model zoo has it", "a model of the Berkeley Vision and Learning Center"),
    "caffe, Oxford's": (_CAFFE, *_OXFORD),
    "vlfeat": ("RGB in [0, 1] to [0, 255], less the file's own mean", *_OXFORD),
}
# Forms that are recognized by the scale of the parameters alone.
_GUESSED = ("torchvision", "torchvision's names, Caffe's scale")
_ASSUMED = " (assumed from their scale; --preprocessing says another)"
_VGG = "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015"
_ALEXNET = (
    "A. Krizhevsky, I. Sutskever and G. Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
)
_CITATIONS = {
    "alexnet2012": _ALEXNET,
    "bvlc_alexnet": _ALEXNET,
    "caffenet": "Y. Jia et al., Caffe: Convolutional Architecture for Fast Feature Embedding, 2014, arXiv:1408.5093",
    "vgg19": _VGG,
    "vgg16": _VGG,
    "alexnet": "A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997",
}


def read_foreign(path: Path, network: str, sha256: str) -> tuple[StoredParams, str]:
    """The parameters in a file of another project, in float32, and its form, a key of `FORMS`.

    Args:
        path: the file.
        network: a key of `ARCHITECTURES`.
        sha256: of the file; it tells some files of the same names apart.

    Raises:
        InputError: it is of no known form, is damaged, or is not that network.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if (found := read_state(path, path.name)) is not None:
        return read_network(*found, network, sha256, path.name)
    if head.startswith(b"MATLAB"):
        return read_vlfeat(path, network), "vlfeat"
    if kind := identify(head):
        raise InputError(f"{path} must be a file of parameters, got {kind.name}; download the file itself")
    if head.startswith(HEADS):
        return read_caffe(path, network), "caffe, Oxford's" if network.startswith("vgg") else "caffe"
    raise InputError(
        f"{path} must be a file of PyTorch, safetensors, NumPy, Keras (HDF5), MATLAB or Caffe, "
        f"got one that begins with {head[:8]!r}"
    )


def convert_file(
    path: Path,
    network: str,
    name: str,
    images: Sequence[np.ndarray] = (),
    *,
    preprocessing: str | None = None,
    url: str | None = None,
) -> Entry:
    """Converts a file, puts it into the cache folder under a name, and logs its form; returns its manifest entry.

    Args:
        path: the file.
        network: a key of `ARCHITECTURES`.
        name: what to call it.
        images: if any, rescale the network so that each filter's mean activation over them is 1: sRGB in [0, 1].
        preprocessing: a key of `PREPROCESSINGS`, in place of the one that the file seems to have.
        url: where the file came from.

    Raises:
        InputError: the file cannot be read as that network, or the name is taken by a file that is not in the cache.
    """
    table = ARCHITECTURES[check_one_of("network", network, list(ARCHITECTURES))]
    if images and any(isinstance(layer, Norm) for layer in table):
        raise InputError(
            f"--normalize must be left out for {network}, whose local normalization depends on the scale; leave it out"
        )
    check_free(name)
    if not path.is_file():
        raise InputError(f"{path} must be a file, got {'a folder' if path.is_dir() else 'nothing'}; check the path")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    params, form = read_foreign(path, network, digest)
    if preprocessing is None and (network, form) == ("vgg16", "torchvision") and digest != TORCHVISION_VGG16:
        raise InputError(
            f"{path.name} must come with its preprocessing: torchvision's VGG-16 and Oxford's have the same names and scale;"
            " add --preprocessing torchvision, or --preprocessing caffe for Oxford's"
        )
    if preprocessing is not None:
        form = {"torchvision": "torchvision", "caffe": "torchvision's names, Caffe's scale"}[preprocessing]
        params["preprocess"] = PREPROCESSINGS[preprocessing]()
    words, terms, credit = FORMS[form]
    assumed = _ASSUMED if form in _GUESSED and not preprocessing else ""
    _log.info("%s is %s in the form of %s: %s%s", path.name, network, form, words, assumed)
    if images:
        params = normalize(params, mean_activations(params, network, images))
        credit += f"; rescaled so that the mean activation of each filter over {len(images)} images is 1"
    source = {"form": form, "file": path.name, "sha256": digest, **({"url": url} if url else {})}
    description = {
        "network": network,
        "source": source,
        "preprocessing": words,
        "license": terms,
        "credit": credit,
        "citation": _CITATIONS[network],
    }
    return save_cached(name, params, description)
