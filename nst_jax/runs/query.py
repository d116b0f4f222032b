"""Summaries and comparisons of run folders, for tables and for programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.files import read_image
from nst_jax.runs.diff import changes, difference
from nst_jax.runs.folder import RunFolder, loss_terms
from nst_jax.system.records import parse_yaml


def find_runs(places: list[Path]) -> list[RunFolder]:
    """The run folders in and below `places`, newest first.

    Raises:
        InputError: one of `places` is not a folder.
    """
    for place in places:
        if not place.is_dir():
            raise InputError(f"DIR must be a folder, got {place}; check the path")
    configs = {config: config.lstat().st_mtime for place in places for config in place.rglob("config.yaml")}
    return [RunFolder(config.parent) for config in sorted(configs, key=lambda file: (-configs[file], file))]


def summarize(folder: RunFolder) -> dict[str, Any]:
    """One row of a list; `error` says why the run failed, or what of its record is damaged."""
    facts: dict[str, Any] = {"folder": str(folder.path), "started": None, "status": "damaged", "error": None}
    facts |= {"content": None, "style": None}
    try:
        facts |= {"status": folder.status()}
        last = folder.last_row()
        facts |= {key: last.get(key) for key in ("size", "step", "loss", "seconds")}
        manifest = folder.read_manifest()
        facts |= {"started": manifest.get("started"), "error": manifest.get("error")}
        facts |= input_names(manifest)
    except InputError as error:
        facts["error"] = str(error)
    return facts


def input_names(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The names of the pictures by role, without folders and extensions; several styles are joined by commas."""
    names = {role: Path(facts.get("source") or role).stem for role, facts in manifest.get("inputs", {}).items()}
    styles = [name for role, name in names.items() if role.startswith("style") and not role.startswith("style_mask")]
    return {key: name for key, name in (("content", names.get("content")), ("style", ", ".join(styles))) if name}


def describe(folder: RunFolder) -> dict[str, Any]:
    """Everything recorded about a run.

    Raises:
        InputError: no run folder, one of another format, or a damaged record.
    """
    return {
        "folder": str(folder.path),
        "status": folder.status(),
        "last": (folder.read_metrics()[-1:] or [{}])[0] if folder.metrics_bytes() else {},
        "config": parse_yaml(folder.read_config(), f"config.yaml in {folder.path}"),
        "manifest": folder.read_manifest(),
        "snapshots": len(folder.snapshots),
    }


def compare(one: RunFolder, other: RunFolder) -> dict[str, Any]:
    """The differences between two runs: settings, facts, last losses, and pictures (None unless of the same size).

    Raises:
        InputError: no run folder, one of another format, or a damaged record.
    """
    a, b = describe(one), describe(other)
    settings = {key: both for key, both in changes(a["config"], b["config"]).items() if not key.startswith("run.")}
    kept = ("versions", "device", "params", "inputs", "git", "steps", "recoveries")
    facts = [{key: run["manifest"].get(key) for key in kept} | {"status": run["status"]} for run in (a, b)]
    terms = loss_terms(a["last"] | b["last"])
    losses = {term: (a["last"].get(term), b["last"].get(term)) for term in [*terms, "seconds"]}
    return {"config": settings, "facts": changes(*facts), "last": losses, "pictures": _pictures(one, other)}


def _pictures(one: RunFolder, other: RunFolder) -> dict[str, float] | None:
    if not (one.result.exists() and other.result.exists()):
        return None
    a, b = read_image(one.result).pixels, read_image(other.result).pixels
    return difference(a, b) if a.shape == b.shape else None
