"""report.html of a run folder: one self-contained page of whatever is there, which lists what is missing or damaged."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from nst_jax.config.quoting import without_folders
from nst_jax.errors import InputError
from nst_jax.images.files import data_uri, picture_size
from nst_jax.report.charts import loss_chart
from nst_jax.report.plots import plot_losses
from nst_jax.report.templates import fill, mark_keys
from nst_jax.runs.folder import RunFolder, loss_terms, resume_command
from nst_jax.runs.progress import format_number
from nst_jax.runs.query import input_names
from nst_jax.system.atomic_write import atomic_write

# Pixels of the longer side on the page, at most: of the result and the inputs, of a snapshot.
_SIDE, _STRIP_SIDE = 2048, 240
_STRIP = 12  # snapshots on the page, at most
_DAMAGED = 10  # damaged rows that are listed, at most
# The folders of an absolute path in YAML, up to its file name.
_FOLDERS = re.compile(r"^(\s*(?:- |[\w.]+: )+['\"]?)(?:/|[A-Za-z]:[\\/]).*[\\/]", re.MULTILINE)


def write_report(folder: RunFolder) -> Path:
    """Writes report.html into a run folder, finished or not; returns its path.

    Raises:
        InputError: the folder holds no run, or is not writable.
    """
    path = folder.path / "report.html"
    atomic_write(path, render(folder).encode())
    return path


def write_pages(folder: RunFolder) -> Path:
    """Writes losses.png, if there are steps, and report.html, whose path it returns.

    Raises:
        InputError: see `write_report`.
    """
    if rows := read_rows(folder, []):
        plot_losses(folder.losses, rows)
    return write_report(folder)


def render(folder: RunFolder, *, live: bool = False) -> str:
    """The page of a run folder. A live one polls its server for news.

    Raises:
        InputError: the folder holds no run.
    """
    missing: list[str] = []
    config = folder.read_config()
    manifest = _attempt(missing, folder.read_manifest, {})
    rows = read_rows(folder, missing)
    picture = picture_of(folder)
    return fill(
        "run.html",
        live=live,
        title=_title(folder, manifest),
        state=state(folder),
        summary=summary(rows),
        picture=picture_address(folder) if live else _embedded(missing, picture),
        **dict(zip(("width", "height"), _size(picture), strict=True)),
        pictures={role: uri for role, file in folder.inputs.items() if (uri := _embedded(missing, file))},
        sources=_sources(manifest),
        chart=loss_chart(rows) if rows else None,
        scales=scales(rows),
        snapshots=[(step, uri) for step, file in _strip(folder) if (uri := _embedded(missing, file, _STRIP_SIDE))],
        films=_films(folder),
        video=next((name for name in ("making_of.mp4", "making_of.gif") if (folder.path / name).exists()), None),
        commands=_commands(folder, manifest),
        facts=_facts(manifest, rows),
        config=mark_keys(_FOLDERS.sub(r"\1", config)),
        missing=[] if live else missing,
    )


def _films(folder: RunFolder) -> dict[str, str]:
    """The names of the films that browsers play, the content's and the result."""
    names = {"content": "content.mp4", "result": "result.mp4"}
    return {what: name for what, name in names.items() if (folder.path / name).exists()}


def read_rows(folder: RunFolder, missing: list[str]) -> list[dict[str, Any]]:
    """The rows of metrics that can be read; messages about the others are added to `missing`."""
    try:
        rows, damaged = folder.salvage_metrics()
    except InputError as error:
        missing.append(str(error))
        return []
    missing += damaged[:_DAMAGED]
    if len(damaged) > _DAMAGED:
        missing.append(f"{len(damaged) - _DAMAGED} more lines of metrics.jsonl are damaged")
    return rows


def state(folder: RunFolder) -> str:
    """The status of the run, as `RunFolder.status` gives it; "unknown" if the manifest is damaged."""
    try:
        return folder.status()
    except InputError:
        return "unknown"


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line on the progress of a run."""
    if not rows:
        return "no step yet"
    last = rows[-1]
    return f"step {last['step']} · {last['size']} px · loss {format_number(last['loss'])} · {last['seconds']:.0f} s"


def picture_address(folder: RunFolder) -> str | None:
    """The address of the current picture, for a page that is served; it changes with the picture."""
    picture = picture_of(folder)
    return f"{picture.name}?{picture.stat().st_mtime_ns}" if picture.exists() else None


def picture_of(folder: RunFolder) -> Path:
    """The result or, while there is none, the current picture."""
    return folder.current if folder.current.exists() and not folder.result.exists() else folder.result


def _title(folder: RunFolder, manifest: Mapping[str, Any]) -> str:
    return " × ".join(input_names(manifest).values()) or folder.path.resolve().name


def _sources(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The file names, or the names, of the input pictures by role."""
    return {role: Path(facts.get("source", "")).name for role, facts in manifest.get("inputs", {}).items()}


def _attempt(missing: list[str], read: Callable[[], dict[str, Any]], otherwise: dict[str, Any]) -> dict[str, Any]:
    try:
        return read()
    except InputError as error:
        missing.append(str(error))
        return otherwise


def _embedded(missing: list[str], file: Path, long_side: int = _SIDE) -> str | None:
    try:
        return data_uri(file, long_side)
    except InputError as error:
        missing.append(f"{file.name}: {error}")
        return None


def _size(picture: Path) -> tuple[int, int]:
    try:
        return picture_size(picture, _SIDE)
    except InputError:
        return (0, 0)


def _strip(folder: RunFolder) -> list[tuple[int, Path]]:
    """The snapshots on the page: all, or `_STRIP` evenly spaced ones with the first and the last."""
    snapshots = list(folder.snapshots.items())
    count = min(_STRIP, len(snapshots))
    return [snapshots[round(i * (len(snapshots) - 1) / max(count - 1, 1))] for i in range(count)]


def scales(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """The size of each scale, and the first and last step logged there."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: (row["scale"], row["size"]))]
    return [{"size": group[0]["size"], "first": group[0]["step"], "last": group[-1]["step"]} for group in groups]


def _commands(folder: RunFolder, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Commands to copy, each with its title: the original one, with file names instead of whole paths, and what to do next."""
    command = [without_folders(word) for word in manifest.get("command", [])[1:]]
    original = [("Original command", shlex.join(["python", *command]))] if command else []
    if state(folder) == "finished":
        return [*original, ("Verify reproducibility", f"python -m nst_jax.replay {shlex.quote(str(folder.path))}")]
    return [*original, ("Resume", resume_command(folder.path))]


def _facts(manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The facts of a run as names and values."""
    last = rows[-1] if rows else {}
    device, seconds, git = (manifest.get(key) or {} for key in ("device", "seconds", "git"))
    facts = {
        "error": manifest.get("error"),
        "frames": manifest.get("frames"),
        "steps": ", ".join(f"{scale['last'] - scale['first'] + 1} at {scale['size']} px" for scale in scales(rows)),
        "last step": ", ".join(f"{term} {format_number(last[term])}" for term in loss_terms(last)) if last else None,
        "seconds": ", ".join(f"{phase} {value:.1f}" for phase, value in seconds.items()),
        "hardware": ", ".join(_hardware(device)),
        "peak memory": _memory(manifest),
        "network": (manifest.get("params") or {}).get("name"),
        "seed": manifest.get("seed"),
        "inputs": ", ".join(f"{role}: {name}" for role, name in _sources(manifest).items()),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items()),
        "commit": f"{git.get('commit')}{' (modified)' if git.get('dirty') else ''}" if git else None,
        "recoveries": manifest.get("recoveries") or None,
        "notices": "; ".join(manifest.get("notices", [])),
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def _hardware(device: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys(str(device[key]) for key in ("cpu", "kind") if device.get(key))
    return [*names, *([f"{device['cores']} cores"] if device.get("cores") else [])]


def _memory(manifest: Mapping[str, Any]) -> str:
    peaks = manifest.get("peak_memory_bytes") or {}
    return ", ".join(f"{place} {peak / 2**30:.2f} GiB" for place, peak in peaks.items() if peak)
