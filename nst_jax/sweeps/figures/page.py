"""report.html of a sweep: its pictures along the swept settings, content against style loss, and the sortable table."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.thumbnail import data_uri
from nst_jax.report.charts import pareto_chart
from nst_jax.report.run_page import picture_of
from nst_jax.report.templates import fill
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import format_number
from nst_jax.sweeps.figures.contact_sheet import layout
from nst_jax.sweeps.figures.pareto import front
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import short_names, shown
from nst_jax.sweeps.table import measure_of, rows_of
from nst_jax.system.atomic_write import atomic_write

_SIDE = 240  # of a picture on the page, at most


def write_sweep_report(path: Path) -> Path:
    """Writes report.html into a sweep folder, whatever has become of its members; returns its path.

    Raises:
        InputError: this is no sweep folder, or the disk refuses.
    """
    page = path / "report.html"
    atomic_write(page, render_sweep(SweepFolder(path)).encode())
    return page


def render_sweep(sweep: SweepFolder, *, live: bool = False) -> str:
    """The page of a sweep folder. A live one is loaded anew while members wait.

    Raises:
        InputError: this is no sweep folder.
    """
    record, rows = sweep.read(), rows_of(sweep)
    states = Counter(row["status"] for row in rows)
    members = [_member(sweep, row, list(record["keys"])) for row in rows]
    points = _points(sweep, rows, members)
    return fill(
        "sweep.html",
        title=sweep.path.resolve().name,
        refresh=live and "waiting" in states,
        live=False,
        summary=", ".join(f"{count} {status}" for status, count in states.items()),
        blocks=[layout(grid, record["members"], rows) for grid in record["grids"]],
        members=members,
        chart=pareto_chart(*points) if len(points[0]) > 1 else None,
        columns=[column for column in rows[0] if column != "folder"] if rows else [],
        rows=[[_cell(value) for column, value in row.items() if column != "folder"] for row in rows],
        missing=[],
    )


def _member(sweep: SweepFolder, row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A member as the page shows it: picture, link, settings, and what there is to say of it."""
    names = short_names(keys)
    numbers = {name: row.get(name) for name in ("score", "loss", "content_loss", "style_loss", "steps", "seconds")}
    details = [
        f"{name.replace('_', ' ')} {format_number(float(value))}" for name, value in numbers.items() if value is not None
    ]
    settings = [f"{names[key]} {shown(row[key])}" for key in keys if row[key] is not None]
    return {
        "number": row["member"],
        "status": row["status"],
        "error": row["error"],
        "title": ", ".join(settings) or f"member {row['member']}",
        "details": [*settings, *details],
        "link": f"{row['folder']}/report.html",
        "thumbnail": _thumbnail(sweep.path / row["folder"]),
    }


def _thumbnail(folder: Path) -> str | None:
    try:
        return data_uri(picture_of(RunFolder(folder)), _SIDE)
    except (InputError, OSError):
        return None


def _points(
    sweep: SweepFolder, rows: Sequence[Mapping[str, Any]], members: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The members with both losses, and among those measured alike the ones that none beats in both."""
    points: list[dict[str, Any]] = []
    groups: dict[str | None, list[int]] = defaultdict(list)
    for row, member in zip(rows, members, strict=True):
        if (row.get("content_loss") or 0) > 0 and (row.get("style_loss") or 0) > 0:
            group = groups[measure_of(sweep.member(row["member"]))]
            group.append(len(points))
            both = {"content": row["content_loss"], "style": row["style_loss"]}
            points.append({**member, **both, "group": list(map(id, groups.values())).index(id(group))})
    losses = [(point["content"], point["style"]) for point in points]
    fronts = [[group[i] for i in front([losses[j] for j in group])] for group in groups.values()]
    return points, fronts


def _cell(value: Any) -> tuple[str, Any, bool]:
    """What a place of the table shows, what it is sorted by, and whether that is a number."""
    if isinstance(value, int | float):
        return format_number(float(value)), value, True
    try:
        return shown(value), float(value), True
    except (TypeError, ValueError):
        return shown(value), value or "", False
