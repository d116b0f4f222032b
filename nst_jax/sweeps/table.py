"""The table of a sweep: one row per member."""

import csv
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder, loss_terms
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import plain, value_of
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.records import parse_yaml

# What decides how content and style are measured, apart from their weights.
_MEASURE = ("content", "style", "network", "loss", "size", "scales")
_WEIGHTS = ("content_weight", "style_weight", "tv_weight", "color_weight")


class Table(NamedTuple):
    """A sweep as its figures show it.

    Attributes:
        record: of the sweep.
        rows: a mapping for each member, all with the same keys; None where a value is unknown. The swept settings, without
            quotes; folder, status; the score, if any; the final loss and its terms; `content_loss` and `style_loss`, the terms
            without their weights; steps and seconds of the last row of metrics; the other scores; and the error.
        measures: of each member, what must be equal for losses to be compared; None for a member without a run.
    """

    record: dict[str, Any]
    rows: list[dict[str, Any]]
    measures: list[str | None]

    @property
    def keys(self) -> list[str]:
        """The swept settings."""
        return list(self.record["keys"])

    def fronts(self) -> list[list[dict[str, Any]]]:
        """The rows with both losses, those whose losses are measured alike together; [] if the pictures vary or one is left."""
        if any(key.partition(".")[0] in ("content", "style", "mask") for key in self.keys):
            return []
        groups: dict[str, list[dict[str, Any]]] = {}
        for row, measure in zip(self.rows, self.measures, strict=True):
            if measure is not None and (row.get("content_loss") or 0) > 0 and (row.get("style_loss") or 0) > 0:
                groups.setdefault(measure, []).append(row)
        return list(groups.values()) if sum(map(len, groups.values())) > 1 else []


def read_table(sweep: SweepFolder) -> Table:
    """Reads the table of a sweep from its record and from the folders of its members."""
    record = sweep.read()
    rows: list[dict[str, Any]] = []
    measures: list[str | None] = []
    for number, member in enumerate(record["members"]):
        folder = RunFolder(sweep.path / member["folder"])
        swept = {key: plain(value_of(member["overrides"], key)) for key in record["keys"]}
        config = _config(folder)
        known = {"member": number, "folder": member["folder"], "status": member["status"], "error": member["error"]}
        # A swept setting, such as `content`, goes before the term of its name, and both before nothing that is known.
        rows.append({"member": number} | swept | known | _results(folder, member, config) | swept | known)
        measures.append(_measure(config))
    columns = dict.fromkeys(key for row in rows for key in row if key != "error") | {"error": None}
    return Table(record, [{column: row.get(column) for column in columns} for row in rows], measures)


def write_table(sweep: SweepFolder, table: Table) -> None:
    """Writes table.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table.rows[0]) if table.rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    atomic_write(sweep.path / "table.csv", text.getvalue().encode("utf-8", "surrogateescape"))


def _measure(config: dict[str, Any] | None) -> str | None:
    if config is None:
        return None
    parts = {name: config[name] for name in _MEASURE if name in config}
    return repr(parts | {"loss": {key: value for key, value in config["loss"].items() if key not in _WEIGHTS}})


def _results(folder: RunFolder, member: Mapping[str, Any], config: dict[str, Any] | None) -> dict[str, Any]:
    if member["status"] not in ("done", "interrupted") or config is None:
        return {}
    try:
        last, scores = folder.last_row(), folder.read_manifest().get("scores", {})
    except InputError:
        return {}
    if not last:
        return {}
    terms = {term: last[term] for term in loss_terms(last)}
    bare = {f"{term}_loss": _bare(terms.get(term), config["loss"].get(f"{term}_weight")) for term in ("content", "style")}
    first = {"score": scores["score"]} if "score" in scores else {}
    return first | terms | bare | {"steps": last["step"], "seconds": last["seconds"]} | scores


def _bare(term: float | None, weight: Any) -> float | None:
    try:
        return term / weight if term is not None else None
    except (TypeError, ZeroDivisionError, OverflowError):  # of a damaged config
        return None


def _config(folder: RunFolder) -> dict[str, Any] | None:
    """The settings of a run; None if there is none, or it is damaged."""
    try:
        config = parse_yaml(folder.read_config(), f"config.yaml in {folder.path}")
    except InputError:
        return None
    return config if isinstance(config.get("loss"), dict) else None
