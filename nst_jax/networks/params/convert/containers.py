"""Files of named arrays: PyTorch's, safetensors, NumPy's archives, HDF5. Only kernels and biases are read.

Every reader gives a state: arrays of 4 axes (kernels) and of 1 (biases) by name. An array larger than `MAX_SIZE` is left out.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from nst_jax.errors import InputError
from nst_jax.networks.params.convert.pickles import read_pickle, read_torch_zip
from nst_jax.networks.params.layout import library

State = dict[str, np.ndarray]

MAX_SIZE = 2**26  # values; the largest kernel of a known network has 38 million
HDF5, ZIP, PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
_SAFETENSORS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


def read_state(file: Path | io.BytesIO, source: str) -> tuple[State, str] | None:
    """The arrays in a file, and the library that wrote it: "torch", "numpy", "safetensors" or "keras"; None if it is none.

    Raises:
        InputError: it is damaged, holds anything but arrays, or the library that reads it is not installed.
    """
    stream = file.open("rb") if isinstance(file, Path) else file
    with stream:
        head = stream.read(9)
        stream.seek(0)
        try:
            if head.startswith(ZIP):
                with zipfile.ZipFile(stream) as archive:
                    return _read_zip(archive, source)
            if head.startswith(HDF5):
                return _read_hdf5(stream, source), "keras"
            if head.startswith(PICKLE) and head[1:2] <= b"\x05":
                return read_pickle(stream), "torch"
            if head[8:] == b"{":
                return _read_safetensors(stream.read()), "safetensors"
        except InputError as error:
            raise InputError(f"{source} {error}") from error
        except Exception as error:  # whatever a damaged file makes its reader run into
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{source} must be a whole file of parameters, got a damaged one ({reason[:200]})") from error
    return None


def _read_zip(archive: zipfile.ZipFile, source: str) -> tuple[State, str]:
    names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return read_torch_zip(archive), "torch"
    if "model.weights.h5" in names:  # `.keras`
        return _read_hdf5(io.BytesIO(archive.read("model.weights.h5")), source), "keras"
    if arrays := [name for name in names if name.endswith(".npy")]:
        return {name.removesuffix(".npy"): a for name in arrays if (a := _read_npy(archive, name)) is not None}, "numpy"
    raise InputError(f"must be a file of PyTorch, Keras or NumPy, got an archive of {', '.join(names[:3])}, ...; unpack it")


def _read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray | None:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = read_header(file)
    if len(shape) not in (1, 4) or math.prod(shape) > MAX_SIZE:
        return None
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_safetensors(data: bytes) -> State:
    found = {}
    for name, tensor in safetensors.deserialize(data):
        if tensor["dtype"] in _SAFETENSORS and len(tensor["shape"]) in (1, 4):
            found[name] = np.frombuffer(tensor["data"], _SAFETENSORS[tensor["dtype"]]).reshape(tensor["shape"])
    return found


def _read_hdf5(stream: Any, source: str) -> State:
    """The arrays of a Keras file, whatever version of Keras wrote it.

    Theano rotates kernels by 180 degrees. As in Keras, they are rotated back only where the file says that they are Theano's.
    """
    h5py = library("h5py", "")
    found: State = {}

    def visit(name: str, item: Any) -> None:
        wanted = isinstance(item, h5py.Dataset) and item.ndim in (1, 4) and not name.startswith("optimizer")
        if wanted and (array := read_dataset(item)) is not None:
            found[name] = array

    with h5py.File(stream, "r") as file:
        file.visititems(visit)
        rotated = file.attrs.get("backend") in ("theano", b"theano") or "th_kernels" in source
    return {name: array[..., ::-1, ::-1] if rotated and array.ndim == 4 else array for name, array in found.items()}


def read_dataset(item: Any) -> np.ndarray | None:
    """The values of an HDF5 dataset of numbers; None if it claims to be larger than any parameter."""
    return item[()] if item.size <= MAX_SIZE and item.dtype.kind in "fiuV" else None
