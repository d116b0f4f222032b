"""The folder of one run: who may write into it, what its files are called, and how they are written and read.

    config.yaml             the resolved configuration: the sign that the folder is a run's
    inputs/*.jpg            the pictures it was given, at the size of the result
    metrics.jsonl           one JSON object for each logged step
    current.jpg             the picture a few seconds ago, while the run goes on
    snapshots/step-*.png    the picture so far, at the size of its scale
    preview.png             a first sight of it, where one was asked for
    result.png              the picture, with its provenance inside
    losses.png              the loss curves
    making_of.gif, .mp4     the snapshots as a film, where one was asked for
    report.html             all of it on one page, for a browser
    manifest.json           what was run, on what, with what, for how long, and how it ended
    checkpoints/            where the job stood, until it has ended (see `nst_jax.runs.checkpoint`)
    .lock                   held by the process that writes into the folder (see `nst_jax.runs.lock`)

Every file appears whole or not at all, except metrics.jsonl, which grows by whole rows.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, resize, write_image
from nst_jax.runs.lock import is_being_written
from nst_jax.runs.strict_json import strict_json
from nst_jax.system.atomic_write import atomic_write, os_errors_as_input

FORMAT = 2  # raised when an older reader would misread a newer folder, or a newer one an older folder
METRIC_KEYS = ("step", "scale", "size", "loss", "seconds")  # of every row; the others are the terms of the loss
_SIGNS_OF_A_RUN = ("config.yaml", "manifest.json", "metrics.jsonl", "result.png")


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
        """Adds one line for each row to metrics.jsonl.

        Returns:
            The length of the file in bytes, for `cut_metrics`.

        Raises:
            KeyError: if a row lacks one of `METRIC_KEYS`.
            InputError: if the disk refuses.
        """
        if missing := {key for row in rows for key in METRIC_KEYS if key not in row}:
            raise KeyError(*missing)
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
        """The rows logged so far; a last line without its end, as a killed process leaves it, is passed over.

        Raises:
            InputError: if there is no metrics.jsonl, or any other line of it is damaged.
        """
        rows, damaged = self.salvage_metrics()
        for number, line in damaged.items():
            raise InputError(
                f"line {number} of metrics.jsonl must be a row, got {line[:40]!r} in {self.path}; the file is damaged"
            )
        return rows

    def salvage_metrics(self) -> tuple[list[dict[str, Any]], dict[int, str]]:
        """The rows that can be read, and by its number every line that cannot.

        Raises:
            InputError: if there is no metrics.jsonl.
        """
        *lines, _torn = self._read("metrics.jsonl").split("\n")
        rows = {number: _row(line) for number, line in enumerate(lines, 1)}
        return [row for row in rows.values() if row], {number: lines[number - 1] for number in rows if not rows[number]}

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

    def read_manifest(self) -> dict[str, Any]:
        """What `write_manifest` wrote. Raises an InputError if it is not there, damaged, or of another format."""
        manifest = self._parse("manifest.json", self._read("manifest.json"))
        if manifest.get("format") != FORMAT:
            raise InputError(
                f"run folder must have the format {FORMAT}, got {manifest.get('format')} in {self.path};"
                " read it with the version of nst_jax that wrote it"
            )
        return manifest

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

    def _read(self, name: str) -> str:
        file = self.path / name
        try:
            if file.exists() and not file.is_file():  # a device may have no end
                raise OSError("no file")
            return file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(
                f"run folder must hold a readable {name}, got {(error.strerror or str(error)).lower()!r}"
                f" in {self.path}; give the folder of a run"
            ) from error

    def _parse(self, what: str, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise InputError(f"{what} must be a JSON object, got {text[:40]!r} in {self.path}; the file is damaged")
        return value


def resume_command(path: Path) -> str:
    """The command that goes on with the run in the folder `path`."""
    return f"python -m nst_jax.run --resume {shlex.quote(str(path))}"


def create_run_folder(path: Path | str, config_yaml: str) -> RunFolder:
    """Makes `path` the folder of one run by writing config.yaml; whoever calls this is its `nst_jax.runs.lock.run_lock`.

    Raises:
        InputError: if a run is recorded there already, or the folder cannot be written.
    """
    folder = RunFolder(Path(path))
    with os_errors_as_input(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
        taken = [name for name in _SIGNS_OF_A_RUN if (folder.path / name).exists()]
    if taken:
        raise InputError(
            f"run.dir must be a folder without a run, got {folder.path}, which holds {taken[0]};"
            " choose another run.dir, or move or delete that folder"
        )
    atomic_write(folder.path / "config.yaml", config_yaml.encode())
    return folder


def loss_terms(row: Mapping[str, Any]) -> list[str]:
    """The names of the loss and its terms in a row of metrics.

    Example:
        >>> loss_terms({"step": 1, "scale": 0, "size": 16, "loss": 3.0, "content": 1.0, "tv": 2.0, "seconds": 0.1})
        ['loss', 'content', 'tv']
    """
    return ["loss", *(key for key in row if key not in METRIC_KEYS)]


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= {*METRIC_KEYS} else None
