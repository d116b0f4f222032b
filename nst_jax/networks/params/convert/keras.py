"""Read the no-top parameter files of Keras (`.h5`): `block1_conv1/...`, kernels [height, width, in, out].

Their network is Oxford's: BGR in [0, 255] less the mean.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.params.layout import StoredParams, assemble, caffe_preprocess, library


def read_keras(path: Path, network: str) -> StoredParams:
    """The convolutions of a Keras file, whatever version of Keras wrote it.

    Raises:
        InputError: h5py is not installed, or the file has no layers `block1_conv1` ... of the network's shapes.
    """
    h5py = library("h5py", "Keras files")
    try:
        with h5py.File(path, "r") as file:
            found = _layers(h5py, file)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name} must be a whole HDF5 file, got a damaged one ({error})") from error
    if not found:
        raise InputError(f"{path.name} must have layers block1_conv1, ..., got none; is it a VGG of Keras?")
    empty = np.empty(0)
    layers = [(found[order].get(4, empty), found[order].get(1, empty)) for order in sorted(found)]
    return assemble(network, layers, caffe_preprocess(), path.name)


def _layers(h5py: Any, file: Any) -> dict[tuple[int, ...], dict[int, np.ndarray]]:
    """By (block, number): its arrays by rank, the kernel having 4 axes and the bias 1."""
    found: dict[tuple[int, ...], dict[int, np.ndarray]] = {}

    def visit(name: str, item: Any) -> None:
        match = re.search(r"(?:^|/)block(\d+)_conv(\d+)/", name)
        if match and isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            found.setdefault((int(match[1]), int(match[2])), {})[item.ndim] = item[()]

    file.visititems(visit)
    return found
