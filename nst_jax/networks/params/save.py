"""Write network parameters: the same bytes for the same values, a file whole or not at all."""

import hashlib
import json
import re

import numpy as np
import safetensors.numpy

from nst_jax.errors import InputError
from nst_jax.networks.params.layout import StoredParams
from nst_jax.networks.params.store import ALIASES, Entry, bundled, cache_folder
from nst_jax.system.atomic_write import atomic_write


def encode(params: StoredParams, kernel_dtype: type[np.floating]) -> bytes:
    """The safetensors file of parameters, kernels in `kernel_dtype`, all else in float32.

    Raises:
        InputError: a value is not finite, or is beyond the range of `kernel_dtype`.
    """
    tensors = {}
    for layer, leaves in params.items():
        for leaf, array in leaves.items():
            with np.errstate(over="ignore"):
                stored = np.ascontiguousarray(array, kernel_dtype if leaf == "kernel" else np.float32)
            if not np.isfinite(stored).all():
                raise InputError(f"{layer}.{leaf} must be finite in {stored.dtype}, got inf or nan; is the source whole?")
            tensors[f"{layer}.{leaf}"] = stored
    # A single metadata key: the library writes several in an order that changes from run to run.
    return safetensors.numpy.save(dict(sorted(tensors.items())), metadata={"layout": "HWIO"})


def check_free(name: str) -> None:
    """Check that parameters can be put into the cache under a name.

    Raises:
        InputError: the name is that of a network or a bundled file, or has other characters than file names should.
    """
    if name in ALIASES or name in bundled():
        raise InputError(f"the new name must not be that of a network or a bundled file, got {name!r}; choose another")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(f"the new name must be of letters, digits, '.', '_' and '-', got {name!r}; choose another")


def save_cached(name: str, params: StoredParams, description: Entry) -> Entry:
    """Put parameters, in float32, into the cache folder as NAME.safetensors and NAME.json; returns the entry.

    Args:
        name: what to call them.
        params: as stored.
        description: the entry's network, source, preprocessing, license, credit and citation.
    """
    check_free(name)
    data = encode(params, np.float32)
    entry = {
        "network": description["network"],
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "layout": "kernels [height, width, in, out]",
        "dtype": "float32",
        **description,
    }
    cache_folder().mkdir(parents=True, exist_ok=True)
    atomic_write(cache_folder() / entry["file"], data)
    atomic_write(cache_folder() / f"{name}.json", (json.dumps(entry, indent=2) + "\n").encode())
    return entry
