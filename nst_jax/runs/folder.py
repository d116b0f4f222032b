"""The folder of one run: the names of its files, and how they are written and read.

    config.yaml             the resolved configuration; marks the folder as a run
    inputs/*.jpg            the input pictures, no larger than the result
    metrics.jsonl           one JSON object per logged step
    current.jpg             a recent picture, while the run is going
    snapshots/step-*.png    intermediate pictures, at the size of their scale
    preview.png             a quick preview, if asked for
    result.png              the picture, with its provenance inside
    result.jpeg, .tiff ...  the same in another format, if asked for
    restarts.png            the results of all restarts of an inversion
    receptive_field.png     what the chosen neurons of an inversion see
    losses.png              the loss curves
    making_of.gif, .mp4     the snapshots as a video, if asked for
    result.mp4, .mov, .mkv  of a film, and content.mp4 beside it; result.png is the frame painted last
    frames/*.png            its frames; decoded/ and passes/ are what it is made of, until it has ended
    report.html             all of it on one page
    profile/, profile.txt   a trace of some steps, and milliseconds by layer, if asked for (see `nst_jax.runner.profile`)
    manifest.json           what was run, on which inputs, hardware and versions, for how long, and how it ended
    checkpoints/            the state of the job, until it has finished (see `nst_jax.runs.checkpoint`)
    .nst_jax.lock           held by the process that writes into the folder (see `nst_jax.runs.lock`)

Every file appears whole or not at all, except metrics.jsonl, which grows by whole rows. A run creates all of these itself: it
refuses a folder that already has one of them, and is never resumed through a symbolic link.
"""

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, resize, write_image
from nst_jax.runs.lock import is_being_written
from nst_jax.runs.schema import Begun, Format, Manifest, Row
from nst_jax.system.atomic_write import PART, atomic_write, os_errors_as_input
from nst_jax.system.records import parse_json, strict_json

FORMAT = 2  # raised when an older reader would misread a newer folder, or a newer one an older folder
METRIC_KEYS = ("step", "scale", "size", "loss", "seconds", "frame")  # the others of a row are the terms of the loss
# Every name that a run may write, but for its lock.
RUN_FILES = (
    *("config.yaml", "manifest.json", "metrics.jsonl", "result.png", "losses.png", "report.html", "current.jpg", "preview.png"),
    *("making_of.gif", "making_of.mp4", "restarts.png", "receptive_field.png", "inputs", "snapshots", "checkpoints"),
    *("result.jpeg", "result.webp", "result.avif", "result.tiff"),
    *("result.mp4", "result.mov", "result.mkv", "content.mp4", "frames", "passes", "decoded"),
    *("profile", "profile.txt"),
)
_MAX_BYTES = 1 << 28  # of a record that is read: 20,000 rows of metrics take 4 MB


@dataclass(frozen=True)
class RunFolder:
    """The record of one run, by file; `create_run_folder` makes a new one, `RunFolder(path)` reads what is there."""

    path: Path

    @property
    def result(self) -> Path:
        """Where the picture is, once the run has ended."""
        return self.path / "result.png"

    @property
    def losses(self) -> Path:
        """Where `nst_jax.report.plots.plot_losses` draws the curves."""
        return self.path / "losses.png"

    @property
    def profile(self) -> Path:
        """Where `nst_jax.runner.profile` keeps the trace."""
        return self.path / "profile"

    @property
    def manifest(self) -> Path:
        """What was run, and how it stands."""
        return self.path / "manifest.json"

    @property
    def checkpoints(self) -> Path:
        """Where `nst_jax.runs.checkpoint` keeps what is needed to go on."""
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> dict[int, Path]:
        """The pictures on the way, by step, first to last."""
        files = (self.path / "snapshots").glob("step-*.png")
        steps = {file.stem.removeprefix("step-"): file for file in files}
        return {int(step): steps[step] for step in sorted(filter(str.isdecimal, steps), key=int)}

    def append_metrics(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Adds one line for each row to metrics.jsonl (see `nst_jax.runs.schema.Row`).

        Returns:
            The length of the file in bytes, for `cut_metrics`.

        Raises:
            InputError: if the disk refuses.
        """
        lines = "".join(strict_json(row) + "\n" for row in rows)
        file = self.path / "metrics.jsonl"
        with os_errors_as_input(file), file.open("a", encoding="utf-8") as stream:
            stream.write(lines)
            return stream.tell()

    def metrics_bytes(self) -> int:
        """The length of metrics.jsonl, 0 if there is none."""
        file = self.path / "metrics.jsonl"
        return file.stat().st_size if file.exists() else 0

    def cut_metrics(self, length: int) -> None:
        """Takes back the rows beyond the first `length` bytes. Raises an InputError if the disk refuses."""
        file = self.path / "metrics.jsonl"
        with os_errors_as_input(file), file.open("ab") as stream:
            stream.truncate(length)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far, without a last line that lacks its end, as a killed process leaves it.

        Raises:
            InputError: there is no metrics.jsonl, or another line of it is damaged.
        """
        rows, damaged = self.salvage_metrics()
        for line in damaged:
            raise InputError(line)
        return rows

    def salvage_metrics(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The rows that can be read, and a message for each line that cannot.

        Raises:
            InputError: there is no metrics.jsonl.
        """
        *lines, _torn = self._read("metrics.jsonl").split("\n")
        rows: list[dict[str, Any]] = []
        damaged: list[str] = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(parse_json(Row, line, f"line {number} of metrics.jsonl in {self.path}"))
            except InputError as error:
                damaged.append(str(error))
        return rows, damaged

    def last_row(self) -> dict[str, Any]:
        """The last row logged that can be read; empty before the first step."""
        rows = self.salvage_metrics()[0] if self.metrics_bytes() else []
        return rows[-1] if rows else {}

    def write_snapshot(self, step: int, pixels: Float[np.ndarray, "1 h w 3"]) -> Path:
        """Writes the picture as it is after `step` steps, counted over all scales; returns the file's path."""
        file = self.path / "snapshots" / f"step-{step:06d}.png"
        with os_errors_as_input(file):
            file.parent.mkdir(exist_ok=True)
        write_image(file, pixels)
        return file

    def write_preview(self, pixels: Float[np.ndarray, "1 h w 3"]) -> Path:
        """Writes preview.png, the picture before the first step; returns its path."""
        write_image(self.path / "preview.png", pixels)
        return self.path / "preview.png"

    @property
    def inputs(self) -> dict[str, Path]:
        """The pictures that the run was given, by role: "content" first, then the styles."""
        return {file.stem: file for file in sorted((self.path / "inputs").glob("*.jpg"))}

    def write_inputs(self, pictures: Mapping[str, Float[np.ndarray, "1 _h _w 3"]], size: int) -> None:
        """Keeps each picture by its role as a JPEG whose longer side is at most `size`."""
        folder = self.path / "inputs"
        with os_errors_as_input(folder):
            folder.mkdir(exist_ok=True)
        for role, pixels in pictures.items():
            height, width = pixels.shape[1:3]
            write_image(folder / f"{role}.jpg", resize(pixels, fit_long_side(height, width, min(size, max(height, width)))))

    @property
    def current(self) -> Path:
        """The picture so far, while there is no result."""
        return self.path / "current.jpg"

    def write_current(self, pixels: Float[np.ndarray, "1 h w 3"]) -> None:
        """Replaces the picture that shows how far the run is."""
        write_image(self.current, pixels)

    def write_result(self, pixels: Float[np.ndarray, "1 h w 3"], text: Mapping[str, str]) -> Path:
        """Writes result.png with `text` (see `nst_jax.runs.manifest.provenance`) inside; returns its path."""
        write_image(self.result, pixels, text=text)
        self.current.unlink(missing_ok=True)
        return self.result

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Writes or replaces manifest.json."""
        atomic_write(self.manifest, (strict_json(manifest, indent=2) + "\n").encode())

    def read_manifest(self, *further: type[Begun]) -> dict[str, Any]:
        """What `write_manifest` wrote, of the types of `Manifest` and of `further` records.

        Raises:
            InputError: it is missing, damaged, or of another format.
        """
        text, what = self._read("manifest.json"), f"manifest.json in {self.path}"
        if (found := parse_json(Format, text, what).get("format")) != FORMAT:
            raise InputError(
                f"format of {what} must be {FORMAT}, got {found}; read it with the version of nst_jax that wrote it"
            )
        for record in further:
            parse_json(record, text, what)
        return parse_json(Manifest, text, what)

    def status(self) -> str:
        """How the run stands: "running", "finished", "interrupted" (killed as well) or "failed".

        Raises:
            InputError: the manifest is damaged, or of another format.
        """
        status = self.read_manifest()["status"] if self.manifest.exists() else "running"
        return "interrupted" if status == "running" and not is_being_written(self.path) else status

    def read_config(self) -> str:
        """The resolved configuration, as YAML. Raises an InputError if it is not there."""
        return self._read("config.yaml")

    def reopen(self) -> None:
        """Makes the folder ready for another process: removes the unfinished files that a killed one left.

        Raises:
            InputError: a file of the run is a symbolic link.
        """
        check_no_links(self.path, RUN_FILES)
        self.remove_unfinished()

    def remove_unfinished(self) -> None:
        """Removes the files that a killed process was writing."""
        for folder in (self.path, *(self.path / name for name in ("inputs", "snapshots", "frames", "passes", "decoded"))):
            for file in folder.iterdir() if folder.is_dir() else ():
                if re.fullmatch(rf"\..+\.\d+{re.escape(PART)}", file.name):
                    file.unlink(missing_ok=True)

    def _read(self, name: str) -> str:
        file = self.path / name
        try:
            if file.exists() and not file.is_file():  # a device may have no end
                raise OSError("not a file")
            if file.stat().st_size > _MAX_BYTES:
                raise OSError("too large")
            return file.read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError) as error:
            raise InputError(
                f"run folder must hold a readable {name}, got {(getattr(error, 'strerror', None) or str(error)).lower()!r}"
                f" in {self.path}; give the folder of a run"
            ) from error


def resume_command(path: Path) -> str:
    """The command that goes on with the run in the folder `path`."""
    return f"python -m nst_jax.run --resume {shlex.quote(str(path))}"


def new_folder(path: Path, elsewhere: str = "choose another place") -> Path:
    """Creates a folder of this name, or of the first one with a number behind it that is free.

    Raises:
        InputError: it cannot be made; `elsewhere` is the advice.
    """
    for number in itertools.count(1):
        new = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with os_errors_as_input(new, elsewhere), suppress(FileExistsError):
            new.mkdir(parents=True)
            return new
    raise AssertionError


def create_run_folder(path: Path | str, config_yaml: str) -> RunFolder:
    """Makes `path` a run folder by writing config.yaml; the caller holds its `nst_jax.runs.lock.run_lock`.

    Raises:
        InputError: the folder holds a file that a run writes, or is not writable.
    """
    folder = RunFolder(Path(path))
    with os_errors_as_input(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    check_free(folder.path, RUN_FILES, "run.dir")
    folder.remove_unfinished()
    atomic_write(folder.path / "config.yaml", config_yaml.encode("utf-8", "surrogateescape"))
    return folder


def check_free(path: Path, names: Iterable[str], key: str) -> None:
    """Raises InputError if the folder `path`, which the setting `key` names, already holds one of `names`."""
    for name in names:
        if os.path.lexists(path / name):
            raise InputError(
                f"{key} must be a folder without {name}, got {path}; choose another {key}, or move {name} out of the way"
            )


def check_no_links(path: Path, names: Iterable[str]) -> None:
    """Raises InputError if one of `names` in the folder `path`, or a file directly below it, is a symbolic link.

    What is written into the folder of a stranger must not end up elsewhere.
    """
    for file in (path / name for name in names):
        inner = file.iterdir() if file.is_dir() and not file.is_symlink() else ()
        for link in filter(Path.is_symlink, (file, *inner)):
            raise InputError(f"{link.relative_to(path)} must lie in {path}, got a symbolic link; put the file itself there")


def loss_terms(row: Mapping[str, Any]) -> list[str]:
    """The names of the loss and its terms in a row of metrics.

    Example:
        >>> loss_terms({"step": 1, "scale": 0, "size": 16, "loss": 3.0, "content": 1.0, "tv": 2.0, "seconds": 0.1})
        ['loss', 'content', 'tv']
    """
    return ["loss", *(key for key in row if key not in METRIC_KEYS)]
