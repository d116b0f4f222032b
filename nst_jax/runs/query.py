"""What run folders say, for tables and comparisons."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nst_jax.errors import InputError
from nst_jax.images.files import read_image
from nst_jax.runs.diff import changes, difference
from nst_jax.runs.folder import RunFolder, loss_terms


def find_runs(places: list[Path]) -> list[RunFolder]:
    """The run folders in and below `places`, the newest first.

    Raises:
        InputError: a place that is no folder.
    """
    for place in places:
        if not place.is_dir():
            raise InputError(f"place to look for runs must be a folder, got {place}; check the path")
    configs = {config for place in places for config in place.rglob("config.yaml")}
    return [RunFolder(config.parent) for config in sorted(configs, key=lambda file: (-file.stat().st_mtime, file))]


def brief(folder: RunFolder) -> dict[str, Any]:
    """One row of a list: what can be read of a run; `error` says what cannot."""
    facts: dict[str, Any] = {"folder": str(folder.path), "started": None, "status": None, "error": None}
    try:
        facts |= {"status": folder.status()}
        last = _last(folder)
        facts |= {key: last.get(key) for key in ("size", "step", "loss", "seconds")}
        manifest = folder.read_manifest()
        facts |= {"started": manifest["started"], "error": manifest.get("error")}
    except InputError as error:
        facts["error"] = str(error)
    return facts


def full(folder: RunFolder) -> dict[str, Any]:
    """Everything about one run.

    Raises:
        InputError: no run folder, one of another format, or a damaged one.
    """
    config = _config(folder)
    return {
        "folder": str(folder.path), "status": folder.status(), "last": _last(folder), "config": config,
        "manifest": folder.read_manifest(), "snapshots": len(folder.snapshots),
    }  # fmt: skip


def compare(one: RunFolder, other: RunFolder) -> dict[str, Any]:
    """What differs between two runs: settings, facts, last losses, and pictures (None unless both have one of the same size).

    Raises:
        InputError: no run folder, one of another format, or a damaged one.
    """
    a, b = full(one), full(other)
    settings = {key: both for key, both in changes(a["config"], b["config"]).items() if not key.startswith("run.")}
    kept = ("versions", "device", "params", "inputs", "git", "steps", "recoveries")
    facts = [{key: run["manifest"].get(key) for key in kept} | {"status": run["status"]} for run in (a, b)]
    terms = dict.fromkeys([*loss_terms(a["last"]), *loss_terms(b["last"]), "seconds"])
    losses = {term: (a["last"].get(term), b["last"].get(term)) for term in terms}
    return {"config": settings, "facts": changes(*facts), "last": losses, "pictures": _pictures(one, other)}


def _pictures(one: RunFolder, other: RunFolder) -> dict[str, float] | None:
    if not (one.result.exists() and other.result.exists()):
        return None
    a, b = read_image(one.result).pixels, read_image(other.result).pixels
    return difference(a, b) if a.shape == b.shape else None


def _config(folder: RunFolder) -> Mapping[str, Any]:
    text = folder.read_config()
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        config = None
    if not isinstance(config, Mapping):
        raise InputError(f"config.yaml must hold the settings of a run, got {text[:40]!r} in {folder.path}; it is damaged")
    return config


def _last(folder: RunFolder) -> dict[str, Any]:
    return (folder.read_metrics()[-1:] or [{}])[0] if folder.metrics_bytes() else {}
