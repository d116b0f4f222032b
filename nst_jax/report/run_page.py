"""report.html of a run folder: whatever is there on one page that needs nothing else, and a word on what is missing."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.thumbnail import data_uri, picture_size
from nst_jax.report.charts import loss_chart
from nst_jax.report.templates import fill, mark_keys
from nst_jax.runs.folder import RunFolder, resume_command
from nst_jax.runs.progress import format_number
from nst_jax.system.atomic_write import atomic_write

_STRIP = 12  # snapshots on the page, at most
_STRIP_SIDE = 240  # their longer side


def write_report(folder: RunFolder) -> Path:
    """Writes report.html into a run folder, finished or not; returns its path.

    Raises:
        InputError: this is no run folder, or the disk refuses.
    """
    path = folder.path / "report.html"
    atomic_write(path, render(folder).encode())
    return path


def render(folder: RunFolder, *, live: bool = False) -> str:
    """The page of a run folder. A live one asks the server that it came from for what is new.

    Raises:
        InputError: this is no run folder.
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
        sources={role: Path(str(facts.get("source", ""))).name for role, facts in manifest.get("inputs", {}).items()},
        chart=loss_chart(rows) if rows else None,
        scales=scales(rows),
        snapshots=[(step, uri) for step, file in _strip(folder) if (uri := _embedded(missing, file, _STRIP_SIDE))],
        film=next((name for name in ("making_of.mp4", "making_of.gif") if (folder.path / name).exists()), None),
        commands=_commands(folder, manifest),
        facts=_facts(manifest, rows),
        config=mark_keys(config),
        missing=[] if live else missing,
    )


def read_rows(folder: RunFolder, missing: list[str]) -> list[dict[str, Any]]:
    """The rows of metrics that can be read; what cannot is told in `missing`."""
    try:
        rows, damaged = folder.salvage_metrics()
    except InputError as error:
        missing.append(str(error))
        return []
    missing += [f"line {number} of metrics.jsonl is damaged and left out" for number in damaged]
    return rows


def state(folder: RunFolder) -> str:
    """How the run stands, as `RunFolder.status` says it; "unknown" where the manifest is damaged."""
    try:
        return folder.status()
    except InputError:
        return "unknown"


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line on how far a run is."""
    if not rows:
        return "no step yet"
    last = rows[-1]
    return f"step {last['step']} · {last['size']} px · loss {format_number(last['loss'])} · {last['seconds']:.0f} s"


def picture_address(folder: RunFolder) -> str | None:
    """Where a page that is served finds the picture so far; another address for another picture."""
    picture = picture_of(folder)
    return f"{picture.name}?{picture.stat().st_mtime_ns}" if picture.exists() else None


def picture_of(folder: RunFolder) -> Path:
    """The result, or while there is none the picture so far."""
    return folder.current if folder.current.exists() and not folder.result.exists() else folder.result


def _title(folder: RunFolder, manifest: Mapping[str, Any]) -> str:
    names = [Path(str(facts.get("source", role))).stem for role, facts in manifest.get("inputs", {}).items()]
    return " × ".join(names) or folder.path.resolve().name


def _attempt(missing: list[str], read: Callable[[], dict[str, Any]], otherwise: dict[str, Any]) -> dict[str, Any]:
    try:
        return read()
    except InputError as error:
        missing.append(str(error))
        return otherwise


def _embedded(missing: list[str], file: Path, long_side: int | None = None) -> str | None:
    try:
        return data_uri(file, long_side)
    except (InputError, OSError) as error:
        missing.append(f"{file.name}, a picture: {error}")
        return None


def _size(picture: Path) -> tuple[int, int]:
    try:
        return picture_size(picture)
    except OSError:
        return (0, 0)


def _strip(folder: RunFolder) -> list[tuple[int, Path]]:
    """Snapshots for the page: all, or `_STRIP` of them at even distances with the first and the last one."""
    snapshots = list(folder.snapshots.items())
    count = min(_STRIP, len(snapshots))
    return [snapshots[round(i * (len(snapshots) - 1) / max(count - 1, 1))] for i in range(count)]


def scales(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """For each scale its size and the first and last step that was logged there."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: (row["scale"], row["size"]))]
    return [{"size": group[0]["size"], "first": group[0]["step"], "last": group[-1]["step"]} for group in groups]


def _commands(folder: RunFolder, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    command = [str(word) for word in manifest.get("command", [])]
    given = [("The command that was given", shlex.join(["python", *command[1:]]))] if command else []
    if state(folder) == "finished":
        place = shlex.quote(str(folder.path))
        return [
            *given,
            ("The same picture again, compared byte for byte", f"python -m nst_jax.replay {place}"),
        ]
    return [*given, ("To go on", resume_command(folder.path))]


def _facts(manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What is known of the run, for a list of names and values."""
    terms = [(term, value) for term, value in (rows[-1] if rows else {}).items() if term not in ("step", "scale", "size")]
    device, seconds, git = (manifest.get(key) or {} for key in ("device", "seconds", "git"))
    facts = {
        "error": manifest.get("error"),
        "steps": ", ".join(f"{scale['last'] - scale['first'] + 1} at {scale['size']} px" for scale in scales(rows)),
        "last step": ", ".join(f"{term} {format_number(value)}" for term, value in terms if term != "seconds"),
        "seconds": ", ".join(f"{phase} {value:.1f}" for phase, value in seconds.items()),
        "hardware": ", ".join(_hardware(device)),
        "peak memory": _memory(manifest),
        "network": (manifest.get("params") or {}).get("name"),
        "seed": manifest.get("seed"),
        "inputs": "; ".join(f"{role}: {facts.get('source')}" for role, facts in manifest.get("inputs", {}).items()),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items()),
        "commit": f"{git.get('commit')}{' with changes' if git.get('dirty') else ''}" if git else None,
        "steps undone": manifest.get("recoveries") or None,
        "notices": "; ".join(manifest.get("notices", [])),
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def _hardware(device: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys(str(device[key]) for key in ("cpu", "kind") if device.get(key))
    return [*names, *([f"{device['cores']} cores"] if device.get("cores") else [])]


def _memory(manifest: Mapping[str, Any]) -> str:
    peaks = manifest.get("peak_memory_bytes") or {}
    return ", ".join(f"{place} {peak / 2**30:.2f} GiB" for place, peak in peaks.items() if peak)
