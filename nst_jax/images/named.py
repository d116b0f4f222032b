"""Named pictures: bundled ones, and ones downloaded from a known address and checked by their sha256."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import NamedTuple

import platformdirs

from nst_jax.errors import InputError, check_one_of
from nst_jax.images.files import Picture, read_image
from nst_jax.system.download import download, file_digest

_log = logging.getLogger(__name__)

_BUNDLED = Path(__file__).parent / "bundled"
_INPUTS = "https://raw.githubusercontent.com/jcjohnson/neural-style/master/examples/inputs/"
_CONNECTION_S = 5.0
_PATIENCE_S = 8.0  # in all: the limit of a connection does not cover a name server that does not answer


class NamedImage(NamedTuple):
    """A picture with a name.

    Attributes:
        title: of the work, or what it shows.
        artist: painter, photographer or draftsman.
        license: terms of use.
        address: URL; None for a bundled picture.
        sha256: of the file, hexadecimal.
        bundled: its file in `bundled/` or, if it has an address too, the file of its substitute.
    """

    title: str
    artist: str
    license: str
    address: str | None
    sha256: str
    bundled: str | None


NAMED = MappingProxyType(
    {
        "starry": NamedImage(
            "The Starry Night, 1889",
            "Vincent van Gogh",
            "public domain",
            None,
            "bd940ed3c131bdd76d93d5b00492387735ca2504dcd743a2fc769a5b2e612765",
            "starry_night.jpg",
        ),
        "wave": NamedImage(
            "The Great Wave off Kanagawa, about 1831",
            "Katsushika Hokusai",
            "public domain",
            None,
            "7c6be202de1f976a8b8ab2da98b6fa3eae94974034bd7c0e4307eaf2fc6cdab0",
            "wave.jpg",
        ),
        "composition": NamedImage(
            "Composition VIII, 1923",
            "Vasily Kandinsky",
            "public domain",
            None,
            "44e32ff1ec10d2b2891addeefe026dbc8b32be8291d78a4fac6251bd80f5c98c",
            "composition.jpg",
        ),
        "summertime": NamedImage(
            "Summertime, 1894",
            "Mary Cassatt",
            "public domain",
            None,
            "fd0e91760d4f8469ec0f80ecc2445b97ce94bada19a5b269600a1aa9425538d0",
            "summertime.jpg",
        ),
        "engraving": NamedImage(
            "An engraving after `cat`",
            "nst_jax",
            "MIT",
            None,
            "38bd0eddb24519e24527b46cdc39cbe36013db5ac69680117694c34bd62a2696",
            "engraving.jpg",
        ),
        "mosaic": NamedImage(
            "A mosaic of fans",
            "nst_jax",
            "MIT",
            None,
            "63c313e3ec97650e0fdd10cf27eec85bf0199d65940978720315a45ca5b4ef95",
            "mosaic.jpg",
        ),
        "astronaut": NamedImage(
            "Eileen Collins",
            "NASA",
            "public domain",
            None,
            "de1f4485ae91fa26642aeda9b6ae195f8cd0f28168b96b2a0c40aa1e225afa32",
            "astronaut.jpg",
        ),
        "cat": NamedImage(
            "Chelsea, a cat",
            "Stefan van der Walt",
            "CC0",
            None,
            "5e355afd421689e586bef3926e19a627859c431d1fd8803b171e90c1bd3b9130",
            "cat.jpg",
        ),
        "tubingen": NamedImage(
            "Tübingen, Neckarfront",
            "Andreas Praefcke",
            "CC BY 3.0",
            _INPUTS + "tubingen.jpg",
            "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506",
            "neckarfront_drawing.jpg",
        ),
        "golden_gate": NamedImage(
            "Golden Gate Bridge",
            "unknown photographer",
            "not stated at the address",
            _INPUTS + "golden_gate.jpg",
            "f8476ac216e0d409af2e52bf82ad2cdc3433e23d7895e6f9b2048fc014ed57ba",
            None,
        ),
        "picasso": NamedImage(
            "Self-Portrait, 1907",
            "Pablo Picasso",
            "public domain in the US, in copyright elsewhere until 2044",
            _INPUTS + "picasso_selfport1907.jpg",
            "d40e903db6c1e7b73974cebe3705d0c9a295455563b9a92d6ac717d224cc947a",
            None,
        ),
        "scream": NamedImage(
            "The Scream, 1893",
            "Edvard Munch",
            "public domain",
            _INPUTS + "the_scream.jpg",
            "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
            None,
        ),
        "seated_nude": NamedImage(
            "Seated Nude, 1910",
            "Pablo Picasso",
            "public domain in the US, in copyright elsewhere until 2044",
            _INPUTS + "seated-nude.jpg",
            "f398757cfb5346842c3bc309ca65d03381b38b1f5f8d7c60abe68a804a405cf1",
            None,
        ),
        "shipwreck": NamedImage(
            "The Shipwreck of the Minotaur, about 1810",
            "J. M. W. Turner",
            "public domain",
            _INPUTS + "shipwreck.jpg",
            "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
            None,
        ),
        "woman_with_hat": NamedImage(
            "Woman with a Hat, 1905",
            "Henri Matisse",
            "public domain",
            _INPUTS + "woman-with-hat-matisse.jpg",
            "6a8b2383d9c110354a97a42c74bdcc5341be879cbb842ddb7ab5843dbdf56d53",
            None,
        ),
    }
)


def fetched(names: Iterable[str]) -> list[str]:
    """Those of the names whose pictures do not come with the package.

    >>> fetched(["cat", "tubingen", "scream"])
    ['tubingen', 'scream']
    """
    return [name for name in names if NAMED[name].address]


def find_image(name: str) -> Picture:
    """Finds a named picture; logs its notices, and the address of a download.

    A picture without an address is bundled. The others are looked for in the folder named by the environment variable
    NST_JAX_IMAGES (file NAME.jpg), in the user's cache, at their address, and last among the bundled substitutes. A file of
    another sha256 is used only from NST_JAX_IMAGES, with a notice. Without a network this takes at most a few seconds.

    Args:
        name: one of `NAMED`.

    Raises:
        InputError: the name is unknown, or the picture is not available.
    """
    named = NAMED[check_one_of("image", name, tuple(NAMED))]
    picture = _in_own_folder(name, named) or _fetched(name, named) or _bundled(name, named)
    for notice in picture.notices:
        _log.info("%s", notice)
    return picture


def local_file(name: str) -> Path | None:
    """The file of a named picture if it is on this machine: the bundled one, or a download; None otherwise."""
    named = NAMED[name]
    if named.address is None and named.bundled is not None:
        return _BUNDLED / named.bundled
    cached = cache_folder() / f"{name}.jpg"
    return cached if _is_verified(cached, named.sha256) else None


def cache_folder() -> Path:
    """The folder of downloaded pictures."""
    return Path(platformdirs.user_cache_dir("nst_jax")) / "images"


def _in_own_folder(name: str, named: NamedImage) -> Picture | None:
    folder = os.environ.get("NST_JAX_IMAGES")
    if not folder or named.address is None or not (path := Path(folder) / f"{name}.jpg").exists():
        return None
    picture = replace(read_image(path), source=name)
    if picture.sha256 == named.sha256:
        return picture
    notice = f"image {name}: {path} is used; it is not the known file of that name (its sha256 differs)"
    return replace(picture, notices=(notice, *picture.notices))


def _fetched(name: str, named: NamedImage) -> Picture | None:
    if named.address is None:
        return None
    path = cache_folder() / f"{name}.jpg"
    if not _is_verified(path, named.sha256):
        _log.info("image %s: fetching %s", name, named.address)
        _download_patiently(named.address, path, named.sha256)
    return replace(read_image(path), source=name) if _is_verified(path, named.sha256) else None


def _is_verified(path: Path, sha256: str) -> bool:
    return path.is_file() and file_digest(path, "sha256") == f"sha256:{sha256}"


def _download_patiently(address: str, path: Path, sha256: str) -> None:
    """Downloads for at most `_PATIENCE_S`; a download that takes longer goes on in the background, for the next call."""

    def attempt() -> None:
        with suppress(InputError, OSError):  # the caller finds no file
            download([address], path, f"sha256:{sha256}", timeout_s=_CONNECTION_S)

    worker = Thread(target=attempt, daemon=True)
    worker.start()
    worker.join(_PATIENCE_S)


def _bundled(name: str, named: NamedImage) -> Picture:
    if named.bundled is None:
        raise InputError(
            f"image {name} must be fetched from {named.address}, which cannot be reached; "
            f"connect to the network, or put {name}.jpg into a folder and name that folder in NST_JAX_IMAGES"
        )
    picture = replace(read_image(_BUNDLED / named.bundled), source=name)
    if named.address is None:
        return picture
    notice = (
        f"image {name}: the photograph cannot be fetched, so a drawing that comes with nst_jax takes its place; "
        f"for the photograph, connect to the network or put {name}.jpg into a folder named by NST_JAX_IMAGES"
    )
    return replace(picture, source=f"{name} (bundled drawing)", notices=(notice,))
