"""The shelf: the paintings that a page offers, all of them files on this machine."""

from pathlib import Path
from typing import NamedTuple

from nst_jax.config.validate import choices
from nst_jax.errors import InputError
from nst_jax.images.files import READABLE
from nst_jax.images.named import NAMED, local_file


class Painting(NamedTuple):
    """A painting on the shelf: its title and its file."""

    title: str
    file: Path


def shelf(folder: Path | None = None) -> list[Painting]:
    """The sample paintings that are on this machine, and those in a folder of the user's.

    Raises:
        InputError: the folder is none, or holds no pictures.
    """
    named = [
        Painting(f"{NAMED[name].title}, {NAMED[name].artist}", file) for name in choices("style") if (file := local_file(name))
    ]
    return named + (_in_folder(folder) if folder else [])


def _in_folder(folder: Path) -> list[Painting]:
    if not folder.is_dir():
        raise InputError(f"--styles must be a folder, got {folder}; check the path")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in READABLE)
    if not files:
        raise InputError(f"--styles must hold pictures, got none in {folder}; name a folder with .jpg or .png files")
    return [Painting(file.stem.replace("_", " "), file) for file in files]
