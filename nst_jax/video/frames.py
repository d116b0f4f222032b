"""The frames of a film: which ones are painted, and where they lie, at their size, while it is."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nst_jax.errors import InputError
from nst_jax.images.files import READABLE, read_image, resize, write_image
from nst_jax.images.video import FILMS, Film, decode_film, probe_film
from nst_jax.system.atomic_write import atomic_write, os_errors_as_input
from nst_jax.system.download import file_digest
from nst_jax.types import Pixels

FOLDER_FPS = 25.0
_FORM = re.compile(r"(-?\d*)(?::(-?\d*)(?::(\d*))?)?")


class Clip(NamedTuple):
    """The part of a film, or of a folder of pictures, that is painted.

    Attributes:
        film: the facts of the file; of a folder, its path and the times of its pictures.
        numbers: of the frames in the film, in order; one may come several times.
        times: of each in the result, in seconds from 0.
        offset: of the first one in the film, in seconds.
        sha256: of the file, or of all pictures of the folder.
    """

    film: Film
    numbers: tuple[int, ...]
    times: tuple[float, ...]
    offset: float
    sha256: str


def is_film(path: str | Path | None) -> bool:
    """Whether a path names a film or a folder, rather than a picture."""
    return path is not None and (Path(path).suffix.lower() in FILMS or Path(path).is_dir())


def open_clip(path: Path, frames: str = ":", fps: float | None = None, most: int | None = None) -> Clip:
    """The frames of a film, or of a folder of pictures in the order of their names, that are asked for.

    Args:
        path: of the film or the folder.
        frames: start:stop:step as Python counts; one number is that frame alone.
        fps: of the result: frames are left out or repeated; None keeps their times.
        most: only so many of the first ones.

    Raises:
        InputError: no film, no PyAV, no such frames.
    """
    film = _folder(path) if path.is_dir() else probe_film(path)
    chosen = range(len(film.times))[_slice(frames)]
    if not chosen:
        raise InputError(f"frames must name frames of the film, which has {len(film.times)}, got {frames!r}; use frames=0:10")
    numbers, times = list(chosen), [film.times[number] - film.times[chosen[0]] for number in chosen]
    if fps is not None:
        wanted, known = np.arange(0, times[-1] + 1e-9, 1 / fps), np.asarray(times)
        nearest = np.searchsorted((known[1:] + known[:-1]) / 2, wanted)
        numbers, times = [numbers[i] for i in nearest], wanted.tolist()
    offset = film.times[numbers[0]]
    sha256 = digest_of(_pictures(path)) if path.is_dir() else _digest(path).removeprefix("sha256:")
    return Clip(film, tuple(numbers[:most]), tuple(times[:most]), offset, sha256)


def _slice(frames: str) -> slice:
    match = _FORM.fullmatch(frames.strip())
    if not match:
        raise InputError(f"frames must be start:stop:step, got {frames!r}; for example 0:100 or ::2")
    start, stop, step = (int(part) if part not in (None, "", "-") else None for part in match.groups())
    if step == 0:
        raise InputError(f"frames must have a step of at least 1, got {frames!r}; for example ::2")
    if ":" not in frames:
        return slice(start, None if start in (None, -1) else start + 1)
    return slice(start, stop, step)


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by the numbers in their names."""

    def key(file: Path) -> list[int | str]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]

    return sorted((file for file in folder.iterdir() if file.suffix.lower() in READABLE), key=key)


def _folder(path: Path) -> Film:
    files = _pictures(path)
    if not files:
        raise InputError(f"content.path must be a film or a folder of frames, got a folder without a picture, {path}")
    height, width = read_image(files[0]).pixels.shape[1:3]
    return Film(path, tuple(i / FOLDER_FPS for i in range(len(files))), (height, width), 0.0, ())


def _digest(file: Path) -> str:
    with os_errors_as_input(file, "check its permissions"):
        return file_digest(file, "sha256")


def digest_of(files: Iterable[Path], *numbers: int) -> str:
    """A sha256 of several files in order, and of the numbers that they have."""
    return hashlib.sha256("".join((*map(_digest, files), *(f" {number}" for number in numbers))).encode()).hexdigest()


def read_clip(clip: Clip) -> Iterator[tuple[int, Pixels]]:
    """The frames of a clip, at their own size, each once, with their numbers; fewer if the film is damaged.

    Raises:
        InputError: a picture of a folder cannot be read, or is of another size.
    """
    wanted, path = {*clip.numbers}, clip.film.path
    if path.is_dir():
        files = _pictures(path)
        for number in sorted(wanted):
            pixels = read_image(files[number]).pixels
            if pixels.shape[1:3] != clip.film.height_width:
                (height, width), (high, wide) = clip.film.height_width, pixels.shape[1:3]
                raise InputError(
                    f"frames must have one size, got {wide}x{high} in {files[number].name} after {width}x{height};"
                    " bring them to one size"
                )
            yield number, pixels
        return
    for number, frame in enumerate(decode_film(path)):
        if number in wanted:
            yield number, np.float32(frame[None]) / np.float32(255)  # pyright: ignore[reportReturnType]
        if number == max(wanted):
            return


@dataclass(frozen=True)
class FrameFolder:
    """Pictures of one size in a folder, by number: `name-000012.png`."""

    path: Path
    name: str = ""

    def file(self, number: int) -> Path:
        """Where a frame is."""
        return self.path / f"{self.name}{'-' if self.name else ''}{number:06d}.png"

    def read(self, number: int) -> Pixels:
        """A frame. Raises an InputError if it is not there."""
        return read_image(self.file(number)).pixels

    def write(self, number: int, pixels: Pixels) -> None:
        """Writes or replaces a frame, in 8 bits."""
        with os_errors_as_input(self.path):
            self.path.mkdir(exist_ok=True)
        write_image(self.file(number), pixels)


def decode_clip(clip: Clip, name: str, folder: Path, height_width: tuple[int, int]) -> int:
    """Puts the frames of a clip into a folder, at their size, unless they are there already; returns how many there are.

    They are numbered as in the result. A damaged film has fewer than it should.

    Raises:
        InputError: see `read_clip`; or no frame can be decoded.
    """
    frames, mark = FrameFolder(folder, name), folder / f"{name}.json"
    facts = {"sha256": clip.sha256, "frames": list(clip.numbers), "size": list(height_width)}
    with suppress(OSError, ValueError, AttributeError, KeyError):  # a damaged mark is none
        known = json.loads(mark.read_text("utf-8"))
        if known.items() >= facts.items() and isinstance(count := known["count"], int):
            return count
    places: dict[int, list[int]] = {}
    for place, number in enumerate(clip.numbers):
        places.setdefault(number, []).append(place)
    missing = {*range(len(clip.numbers))}
    for number, pixels in read_clip(clip):
        for place in places[number]:
            frames.write(place, resize(pixels, height_width))
            missing.discard(place)
    count = min(missing, default=len(clip.numbers))
    if not count:
        raise InputError(f"film {clip.film.path} must have the frames asked for, got none that can be decoded; copy it again")
    atomic_write(mark, json.dumps(facts | {"count": count}).encode())
    return count


def keyframes_in(folder: Path, count: int) -> dict[int, Path]:
    """The finished frames in a folder, by the number that ends their names.

    Raises:
        InputError: there is none, or a number is not that of a frame.
    """
    if not folder.is_dir():
        raise InputError(f"keyframes must be a folder of pictures, got {folder}; check the path")
    found: dict[int, Path] = {}
    for file in _pictures(folder):
        match = re.search(r"(\d+)$", file.stem)
        if not match or int(match[1]) >= count:
            raise InputError(
                f"keyframes must be named by their frame, 0 to {count - 1}, got {file.name}; name it such as 000012.png"
            )
        found[int(match[1])] = file
    if not found:
        raise InputError(f"keyframes must hold a picture such as 000012.png, got none in {folder}")
    return found


def order_of(count: int, keyframes: Sequence[int], number: int = 1) -> list[tuple[int, int]]:
    """The frames of a pass in the order of their painting, each with the side of its neighbor that is painted before it.

    Args:
        count: how many frames.
        keyframes: which are finished; those before the first one follow it backward.
        number: of the pass, from 1; even ones go backward.

    Example:
        >>> order_of(4, [2])
        [(1, 1), (0, 1), (3, -1)]
        >>> order_of(3, [], 2)
        [(2, 1), (1, 1), (0, 1)]
    """
    first = min(keyframes, default=0)
    backward = [(frame, 1) for frame in range(first - 1, -1, -1)]
    forward = [(frame, -1) for frame in range(first, count)]
    chosen = [*backward, *forward] if number % 2 else [(frame, 1) for frame in range(count - 1, -1, -1)]
    return [(frame, side) for frame, side in chosen if frame not in {*keyframes}]
