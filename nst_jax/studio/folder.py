"""The studio's folder: what lies where, and the pictures that pages upload.

    runs/        a run folder for each picture, those of a batch in a folder of their own
    pictures/    photographs, paintings and masks, each in a folder named after its contents, for as long as a run needs it
    batches/     the finished pictures of each batch, under the names of their photographs
    live/        the pictures of runs that are going on
    temporary/   uploads, until they are kept
    queue.json   the runs that wait, for the next start

live/ and temporary/ are emptied when the studio starts and ends.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, picture_from_bytes, picture_size, read_file, read_image, resize, write_image
from nst_jax.images.video import probe_film
from nst_jax.runs.folder import new_folder
from nst_jax.system.atomic_write import atomic_open, atomic_write, os_errors_as_input
from nst_jax.system.download import file_digest

MAX_BYTES, MAX_PIXELS = 100 * 2**20, 100_000_000  # of an upload
_SHOWN = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")  # by every browser
_THUMBNAIL = 320  # pixels


@dataclass(frozen=True)
class StudioFolder:
    """The folder of a studio; `open_studio` makes it ready."""

    path: Path

    @property
    def runs(self) -> Path:
        """Of the run folders."""
        return self.path / "runs"

    @property
    def pictures(self) -> Path:
        """Of everything that runs were given."""
        return self.path / "pictures"

    @property
    def batches(self) -> Path:
        """Of the results of batches."""
        return self.path / "batches"

    @property
    def live(self) -> Path:
        """Of pictures on the way."""
        return self.path / "live"

    @property
    def temporary(self) -> Path:
        """Of uploads."""
        return self.path / "temporary"

    @property
    def queue(self) -> Path:
        """The file that names the runs that wait."""
        return self.path / "queue.json"

    @property
    def served(self) -> list[Path]:
        """The folders whose files a page may ask for."""
        return [self.runs, self.pictures, self.batches, self.live]

    def run(self, name: str) -> Path:
        """The run folder of a name that a page gave. Raises InputError if there is none."""
        with suppress(OSError, ValueError, TypeError):  # of what is no name of a file
            path = (self.runs / name).resolve()
            if path.is_relative_to(self.runs.resolve()) and (path / "config.yaml").is_file():
                return path
        raise InputError(f"run must be one of the studio, got {str(name)[:80]!r}; choose it in the history")

    def name_of(self, run: Path) -> str:
        """The name of a run folder, for `run`."""
        return run.resolve().relative_to(self.runs.resolve()).as_posix()

    def keep(self, file: Path, name: str | None = None) -> Path:
        """Copies a picture to where runs find it for good; what no browser shows becomes a PNG.

        Args:
            file: of the picture.
            name: for people, if not the file's.

        Raises:
            InputError: it is no picture that can be read, or too large.
        """
        check_upload(file)
        if file.resolve().is_relative_to(self.pictures.resolve()):
            return file
        data, name = read_file(file), _plain_name(name or file.name)
        kept = self._place(hashlib.sha256(data).hexdigest(), name)
        if kept.suffix.lower() not in _SHOWN:
            kept = kept.with_suffix(".png")
        if not kept.exists():
            pixels = picture_from_bytes(data, name).pixels  # whole and readable, or an InputError
            _check_pixels(pixels.shape[2], pixels.shape[1])
            kept.parent.mkdir(parents=True, exist_ok=True)
            if kept.suffix == Path(name).suffix:
                atomic_write(kept, data)
            else:
                write_image(kept, pixels)
        return kept

    def keep_film(self, file: Path) -> Path:
        """Copies a film to where runs find it for good.

        Raises:
            InputError: it is no film that can be read, or too large.
        """
        check_upload(file)
        if file.resolve().is_relative_to(self.pictures.resolve()):
            return file
        probe_film(file)
        kept = self._place(file_digest(file, "sha256").removeprefix("sha256:"), _plain_name(file.name))
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_open(kept) as stream, file.open("rb") as source:
                shutil.copyfileobj(source, stream)
        return kept

    def keep_pixels(self, pixels: Any, name: str) -> Path:
        """Writes a picture, float32 [1, h, w, 3], to where runs find it."""
        kept = self._place(hashlib.sha256(pixels.tobytes()).hexdigest(), name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_image(kept, pixels)
        return kept

    def thumbnail(self, file: Path) -> Path:
        """A small JPEG of a picture, made when it is first asked for."""

        def write(small: Path) -> None:
            pixels = read_image(file).pixels
            height, width = pixels.shape[1:3]
            write_image(small, resize(pixels, fit_long_side(height, width, min(_THUMBNAIL, max(height, width)))))

        return _version(self.live / "thumbnails", file, ".jpg", write)

    def as_shown(self, file: Path) -> Path:
        """A name for the present contents of a file that is written again: a browser keeps what it has seen under a name."""
        return _version(self.live / "shown", file, file.suffix, lambda shown: shutil.copyfile(file, shown))

    def new_run(self, stem: str = "") -> Path:
        """A new folder for a run, named after the time."""
        return new_folder(self.runs / (stem or time.strftime("%Y-%m-%d_%H-%M-%S")))

    def new_batch(self) -> str:
        """The name of a new folder in `batches`, likewise."""
        return new_folder(self.batches / time.strftime("%Y-%m-%d_%H-%M-%S")).name

    def _place(self, sha256: str, name: str) -> Path:
        return self.pictures / sha256[:16] / name


@contextmanager
def open_studio(path: Path) -> Iterator[StudioFolder]:
    """Makes a folder ready, for this process alone, and removes what nothing needs any more, now and at the end.

    Raises:
        InputError: another studio has the folder, or it cannot be written.
    """
    folder = StudioFolder(path.resolve())
    with os_errors_as_input(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".studio.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout as taken:
            raise InputError(f"--dir must belong to one studio, got {path}, where one is running; choose another") from taken
        _remove_temporary(folder)
        for place in (*folder.served, folder.temporary):
            place.mkdir(exist_ok=True)
    _forget_unused(folder)
    try:
        yield folder
    finally:
        _remove_temporary(folder)
        lock.release()


def check_upload(file: Path) -> None:
    """Raises InputError for a file that is gone, or too large in bytes or, as far as its header says, in pixels."""
    if not file.is_file():
        raise InputError(f"picture must still be there, got {file.name}, which is not; drop it again")
    if (length := file.stat().st_size) > MAX_BYTES:
        raise InputError(f"picture must have at most {MAX_BYTES >> 20} MB, got {length >> 20}; save it as a JPEG")
    try:
        size = picture_size(file)
    except InputError:  # what Pillow alone does not open is checked when it is read
        return
    _check_pixels(*size)


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise InputError(f"picture must have at most {most} megapixels, got {width}x{height}; scale it down first")


def _remove_temporary(folder: StudioFolder) -> None:
    for place in (folder.temporary, folder.live):
        shutil.rmtree(place, ignore_errors=True)


def _forget_unused(folder: StudioFolder) -> None:
    """Removes the pictures that no run was given."""
    configs = [file.read_text("utf-8", "replace") for file in folder.runs.rglob("config.yaml")]
    for place in folder.pictures.iterdir():
        if not any(place.name in text for text in configs):
            shutil.rmtree(place, ignore_errors=True)


def _version(folder: Path, file: Path, suffix: str, write: Callable[[Path], Any]) -> Path:
    """What `write` makes of the present contents of a file; of earlier contents the last one stays, for pages that show it."""
    facts = file.stat()
    place = folder / hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:24]
    made = place / f"{facts.st_mtime_ns}-{facts.st_size}{suffix}"
    if not made.exists():
        place.mkdir(parents=True, exist_ok=True)
        for old in sorted(place.iterdir())[:-1]:
            old.unlink(missing_ok=True)
        write(made)
    return made


def _plain_name(name: str) -> str:
    """A file name without folders and without letters that a command line would have to quote."""
    path = Path(name)
    stem = re.sub(r"[^\w.-]+", "_", path.stem).strip("._-")[:60]
    return (stem or "picture") + re.sub(r"[^\w.]", "", path.suffix.lower())[:6]
