"""The table of a sweep: a row for each member."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder, loss_terms
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import value_of
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.records import parse_yaml

# What decides how content and style are measured, whatever they weigh.
_MEASURE = ("content", "style", "network", "loss", "size", "scales")
_WEIGHTS = ("content_weight", "style_weight", "tv_weight")


def rows_of(sweep: SweepFolder) -> list[dict[str, Any]]:
    """A mapping for each member, all with the same keys; what is not known is None.

    The swept settings; the member's folder and status; its score, if it has one; the final terms of the loss; `content_loss`
    and `style_loss`, which are those without their weights α and β; steps, seconds; the scores of the manifest, if there are
    any; and the error.
    """
    record = sweep.read()
    rows = []
    for number, member in enumerate(record["members"]):
        swept = {key: value_of(member["overrides"], key) for key in record["keys"]}
        results = _results(RunFolder(sweep.path / member["folder"]), member["status"])
        known = {"folder": member["folder"], "status": member["status"]} | results | {"error": member["error"]}
        rows.append({"member": number} | swept | known | swept)  # a swept group, `content`, goes before the term of that name
    columns = dict.fromkeys(key for row in rows for key in row if key != "error") | {"error": None}
    return [{column: row.get(column) for column in columns} for row in rows]


def measure_of(folder: RunFolder) -> str | None:
    """What two members must have in common for their losses to be compared; None if there is no run."""
    config = _config(folder)
    if config is None:
        return None
    parts = {name: config[name] for name in _MEASURE if name in config}
    return repr(parts | {"loss": {key: value for key, value in config["loss"].items() if key not in _WEIGHTS}})


def write_table(sweep: SweepFolder, rows: list[dict[str, Any]]) -> None:
    """Writes table.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(sweep.path / "table.csv", text.getvalue().encode())


def _results(folder: RunFolder, status: str) -> dict[str, Any]:
    config = _config(folder)
    if status not in ("done", "interrupted") or config is None:
        return {}
    try:
        last = folder.read_metrics()[-1]
        manifest = folder.read_manifest()
    except (InputError, IndexError):
        return {}
    terms = {term: last[term] for term in loss_terms(last)}
    bare = {f"{term}_loss": _bare(last[term], config["loss"][f"{term}_weight"]) for term in ("content", "style")}
    total = manifest.get("seconds", {}).get("total")  # not of a run whose process was killed
    seconds = {"steps": last["step"], "seconds": None if total is None else round(total, 2)}
    scores = _flat(manifest.get("scores") or {})
    first = {"score": scores["score"]} if "score" in scores else {}
    return first | terms | bare | seconds | scores


def _bare(term: float | None, weight: float) -> float | None:
    return term / weight if term is not None and weight else None


def _flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: score for name, score in scores.items() if isinstance(score, int | float)}


def _config(folder: RunFolder) -> dict[str, Any] | None:
    try:
        return parse_yaml(folder.read_config(), f"config.yaml in {folder.path}")
    except InputError:
        return None
