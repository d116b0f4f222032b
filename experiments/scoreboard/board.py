"""The pictures of the scoreboard and what is known of each, kept in a folder: made once, scored once.

FOLDER/SYSTEM/SIZE/CONTENT_STYLE.webp, lossless, and beside it a record in .json: what made it, in how many seconds, its scores.
"""

import functools
import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from experiments.scoreboard import judges
from experiments.scoreboard.systems import ROOT, system
from nst_jax.errors import InputError
from nst_jax.images.files import read_image
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


@functools.cache
def judged_by() -> str:
    """A digest of the code of the scores."""
    files = [*sorted((ROOT / "nst_jax" / "evaluate").glob("*.py")), Path(judges.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def scores(picture: Path, pair: Pair) -> dict[str, float]:
    """The scores of a picture, to six digits."""
    found = judges.scores(*(read_image(file).pixels for file in (*pair, picture)))
    return {key: float(f"{value:.6g}") for key, value in found.items()}


def scored(picture: Path, pair: Pair) -> dict[str, Any]:
    """The record of a picture, scored if it is not yet, or by other code."""
    record = record_of(picture)
    if record.get("judged_by") != judged_by():
        record |= {"judged_by": judged_by(), "scores": scores(picture, pair)}
        keep(picture, record)
    return record


def records(folder: Path, size: int) -> list[tuple[Path, dict[str, Any]]]:
    """All scored pictures of that size and their records, by system and pair."""
    found = [(path.with_suffix(".webp"), json.loads(path.read_text())) for path in sorted(folder.glob(f"*/{size}/*.json"))]
    return [(picture, record) for picture, record in found if "scores" in record and picture.is_file()]


def differences(folder: Path, size: int, folders: list[Path], count: int = 4) -> tuple[int, list[str]]:
    """Scores pictures anew, evenly chosen of those whose content and style are there: how many, and what differs."""
    kept = []
    for picture, record in records(folder, size):
        try:
            pair = Pair(*(_named(folders, record[kind]) for kind in ("content", "style")))
        except InputError:
            continue
        kept.append((picture, pair, record["scores"]))
    chosen = [kept[i * len(kept) // min(count, len(kept))] for i in range(min(count, len(kept)))]
    found = []
    for picture, pair, before in chosen:
        for key, value in scores(picture, pair).items():
            if not math.isclose(value, before.get(key, math.nan), rel_tol=2e-3, abs_tol=1e-3):
                found.append(f"{picture}: {key} is {value}, was {before.get(key)}")
    return len(chosen), found
