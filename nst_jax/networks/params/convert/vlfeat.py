"""Reader of VLFeat's MatConvNet models (`imagenet-vgg-verydeep-19.mat`): RGB in [0, 255] less the file's own mean."""

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.params.convert.containers import read_dataset
from nst_jax.networks.params.layout import StoredParams, assemble, library, linear_preprocess

_MATRIX, _COMPRESSED = 14, 15  # types of elements in MATLAB's format
_CONTAINERS = (1, 2, 3)  # classes of arrays: cells, structs, objects


def read_vlfeat(path: Path, network: str) -> StoredParams:
    """The convolutions of a MatConvNet model, of the present form (`meta.normalization`) or that of its betas.

    Raises:
        InputError: scipy (for MATLAB 7.3: h5py) is not installed, or the file is not such a model of the network's shapes.
    """
    with path.open("rb") as file:
        is_hdf5 = file.read(10) == b"MATLAB 7.3"
    reader = library("h5py" if is_hdf5 else "scipy.io", "MATLAB files")
    try:
        layers, mean = (_read_hdf5 if is_hdf5 else _read)(reader, path)
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} must have layers and normalization.averageImage, got another model") from error
    except Exception as error:  # whatever a damaged file makes the reader run into
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path.name} must be a whole MATLAB file, got a damaged one ({reason})") from error
    return assemble(network, layers, linear_preprocess(np.full(3, 255), -mean, bgr=False), path.name)


def _read(io: Any, path: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    data = path.read_bytes()
    _check_sizes(data, 128, len(data), "<" if data[126:128] == b"IM" else ">")
    model = io.loadmat(path, variable_names=("layers", "meta", "normalization"))
    return _layers(model["layers"]), _mean(model)


def _check_sizes(data: bytes, start: int, end: int, order: str) -> None:
    """Raises ValueError if a cell or struct array claims more elements than its bytes can hold: scipy would make them all."""
    while start + 8 <= end:
        kind, size = struct.unpack_from(f"{order}II", data, start)
        start += 8
        if kind >> 16:  # a small element: its value is in the tag
            continue
        if kind == _COMPRESSED:
            unpacked = zlib.decompress(data[start : start + size])
            _check_sizes(unpacked, 0, len(unpacked), order)
        elif kind == _MATRIX and size >= 24:
            flags, _, _, length = struct.unpack_from(f"{order}4I", data, start + 8)
            dimensions = struct.unpack_from(f"{order}{min(length, size) // 4}i", data, start + 24)
            if flags & 255 in _CONTAINERS and not 0 <= math.prod(dimensions) <= size // 8:
                raise ValueError("an array of cells is larger than the file")
            _check_sizes(data, start, min(start + size, end), order)
        start += size if kind == _COMPRESSED else (size + 7) // 8 * 8


def _read_hdf5(h5py: Any, path: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """MATLAB 7.3: cells are references, texts are numbers, axes are reversed."""
    layers = []
    with h5py.File(path, "r") as file:
        for reference in file["layers"][()].ravel():
            layer = file[reference]
            name, kind = ("".join(map(chr, layer[field][()].ravel()[:20])) for field in ("name", "type"))
            if kind == "conv" and name.startswith("conv"):
                kernel, bias = (_transposed(file[part]) for part in layer["weights"][()].ravel())
                layers.append((kernel, bias.ravel()))
        holder = file["meta/normalization"] if "meta" in file else file["normalization"]
        return layers, _transposed(holder["averageImage"]).astype(np.float64).reshape(-1, 3).mean(axis=0)


def _transposed(dataset: Any) -> np.ndarray:
    if (array := read_dataset(dataset)) is None:
        raise ValueError("an array larger than any parameter")
    return array.T


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
