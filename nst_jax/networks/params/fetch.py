"""Known parameter files on the web: where they are, what they hash to, and their way into the store."""

import contextlib
import logging
from dataclasses import dataclass

from nst_jax.errors import InputError, check_one_of
from nst_jax.networks.params.convert.dispatch import convert_file
from nst_jax.networks.params.convert.recognize import TORCHVISION_VGG16
from nst_jax.networks.params.layout import library
from nst_jax.networks.params.store import Entry, cache_folder, find, read_verified
from nst_jax.system.download import download

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """A file that can be fetched.

    Attributes:
        network: what it holds.
        reader: the module that reads its format, if it is an extra.
        megabytes: its size.
        digest: what it must hash to: sha256, or md5 where its publisher gives no more.
        urls: the official address, then mirrors.
    """

    network: str
    reader: str | None
    megabytes: int
    digest: str
    urls: tuple[str, ...]


KNOWN = {
    "vgg19-torchvision": Known(
        "vgg19",
        None,
        575,
        "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        (
            "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            "https://s3.amazonaws.com/pytorch/models/vgg19-dcbb9e9d.pth",
        ),
    ),
    "vgg16-torchvision": Known(
        "vgg16",
        None,
        553,
        f"sha256:{TORCHVISION_VGG16}",
        (
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "https://huggingface.co/Keiser41/mangaaa/resolve/8ff9b84704d31282dd9b896e4abf7dec089dbe15/model/vgg16-397923af.pth",
        ),
    ),
    "alexnet-torchvision": Known(
        "alexnet",
        None,
        244,
        "sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        (
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "https://huggingface.co/blanchon/image-gs-models-utils/resolve/main/torch/checkpoints/alexnet-owt-7be5be79.pth",
        ),
    ),
    "vgg19-keras": Known(
        "vgg19",
        "h5py",
        80,
        "md5:253f8cb515780f3b799900260a226db6",  # Keras publishes no sha256
        (
            "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
    ),
    "vgg19-vlfeat": Known(
        "vgg19",
        "scipy.io",
        535,
        "sha256:abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695",
        (
            "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
            "https://huggingface.co/spaces/Kurokabe/GANime/resolve/485bdf43704ffb6cdbe662fd77daaf7ed3f5d4a9/models/vgg19/imagenet-vgg-verydeep-19.mat",
        ),
    ),
}


def fetch(name: str) -> Entry:
    """Download a known file, verify it, convert it into the cache folder under its name, and drop the download.

    What is there already and verified is left as it is.

    Args:
        name: a key of `KNOWN`.

    Raises:
        InputError: the name is unknown, the format's reader is not installed, or no address gave the right file.
    """
    known = KNOWN[check_one_of("file to fetch", name, list(KNOWN))]
    with contextlib.suppress(InputError):  # absent or damaged: get it
        entry, path = find(name)
        read_verified(entry, path)
        _log.info("%s is here already, verified", name)
        return entry
    if known.reader:
        library(known.reader, name)  # before half a gigabyte is on its way
    path = cache_folder() / known.urls[0].rpartition("/")[2]
    download(known.urls, path, known.digest)
    entry = convert_file(path, known.network, name, url=known.urls[0])
    path.unlink()
    return entry
