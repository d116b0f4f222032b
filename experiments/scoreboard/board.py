"""The pictures of the scoreboard and what is known of each, kept in a folder: made once, scored once.

FOLDER/SYSTEM/SIZE/CONTENT_STYLE.webp, lossless, and beside it a record in .json: what made it, in how many seconds, its scores.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from experiments.scoreboard.systems import system
from nst_jax.errors import InputError
from nst_jax.system.atomic_write import atomic_write

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


class Pair(NamedTuple):
    """The files of a content and of a style; their stems are their names."""

    content: Path
    style: Path

    def __str__(self) -> str:
        return f"{self.content.stem}_{self.style.stem}"


def pairs(folders: list[Path], listed: Path | None) -> list[Pair]:
    """The pairs to paint.

    With a list, those of its lines, "CONTENT STYLE", names of files in any of the folders. Without one, of each folder all of
    content/ with all of style/, or, if it has no such subfolders, all C*.jpg with all S*.jpg.

    Raises:
        InputError: a name of the list is in no folder, or there is no pair.
    """
    if listed:
        names = [line.split() for line in listed.read_text().splitlines() if line.strip()]
        return [Pair(_named(folders, content), _named(folders, style)) for content, style in names]
    found = []
    for folder in folders:
        apart = (folder / "content").is_dir()
        contents, styles = (
            _pictures(folder / kind, "*") if apart else _pictures(folder, f"{kind[0].upper()}*")
            for kind in ("content", "style")
        )
        found += [Pair(content, style) for content in contents for style in styles]
    if not found:
        given = " ".join(map(str, folders))
        raise InputError(f"--images must hold content/ and style/, or C* and S* pictures, got none in {given}; or give --pairs")
    return found


def _pictures(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.suffix.lower() in EXTENSIONS)


def _named(folders: list[Path], name: str) -> Path:
    for folder in folders:
        for file in _pictures(folder, f"{name}.*"):
            return file
    raise InputError(f"--pairs must name pictures in {' '.join(map(str, folders))}, got {name}; add its folder to --images")


def picture_of(folder: Path, name: str, pair: Pair, size: int) -> Path:
    """Where the picture is kept."""
    return folder / name / str(size) / f"{pair}.webp"


def record_of(picture: Path) -> dict[str, Any]:
    """What is known of a picture; empty if it is not whole."""
    beside = picture.with_suffix(".json")
    return json.loads(beside.read_text()) if picture.is_file() and beside.is_file() else {}


def keep(picture: Path, record: dict[str, Any]) -> None:
    """Writes the record beside its picture."""
    atomic_write(picture.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())


def painted(folder: Path, name: str, pair: Pair, size: int) -> Path:
    """The picture of a system, painted if it is not there or what would make it has changed."""
    picture, by = picture_of(folder, name, pair, size), system(name)
    digest = hashlib.sha256(repr((by.version(), size)).encode())
    for file in pair:
        digest.update(file.read_bytes())
    made = digest.hexdigest()[:16]
    if record_of(picture).get("made") == made:
        return picture
    begin = time.perf_counter()
    pixels, facts = by.paint(*pair, size)
    seconds = round(time.perf_counter() - begin, 1)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.with_suffix(".json").unlink(missing_ok=True)
    Image.fromarray(pixels).save(picture, lossless=True, method=6)
    about = {"content": pair.content.stem, "style": pair.style.stem, "system": name, "size": size, "made": made}
    keep(picture, about | {"seconds": seconds, "load": round(os.getloadavg()[0], 1)} | facts)
    return picture
