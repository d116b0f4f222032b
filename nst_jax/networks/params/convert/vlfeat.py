"""Read the MatConvNet models of VLFeat (`imagenet-vgg-verydeep-19.mat`): RGB in [0, 255] less the file's own mean."""

from pathlib import Path
from typing import Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.params.layout import StoredParams, assemble, library, linear_preprocess


def read_vlfeat(path: Path, network: str) -> StoredParams:
    """The convolutions of a MatConvNet model, of the present form (`meta.normalization`) or that of its betas.

    Raises:
        InputError: scipy is not installed, or the file is not such a model of the network's shapes.
    """
    io = library("scipy.io", "MATLAB files")
    try:
        model = io.loadmat(path, variable_names=("layers", "meta", "normalization"))
    except Exception as error:  # whatever a damaged file makes the reader run into
        raise InputError(f"{path.name} must be a whole MATLAB file of version 7 or less, got {error}") from error
    try:
        layers = _layers(model["layers"])
        mean = _mean(model)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path.name} must have layers and normalization.averageImage, got another model") from error
    return assemble(network, layers, linear_preprocess(np.full(3, 255), -mean, bgr=False), path.name)


def _layers(cells: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    layers = []
    for cell in cells.ravel():
        name, kind = (str(_field(cell, field).item()) for field in ("name", "type"))
        if kind == "conv" and name.startswith("conv"):
            kernel, bias = _field(cell, "weights").ravel()
            layers.append((kernel, bias.ravel()))
    return layers


def _mean(model: dict[str, Any]) -> np.ndarray:
    """Red, green, blue: of an image of means or of a single one."""
    holder = _field(model["meta"], "normalization") if "meta" in model else model["normalization"]
    return _field(holder, "averageImage").astype(np.float64).reshape(-1, 3).mean(axis=0)


def _field(struct: np.ndarray, name: str) -> np.ndarray:
    """A field of a MATLAB struct, which scipy gives as an array of one record."""
    return struct.ravel()[0][name]
