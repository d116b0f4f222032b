"""report.html of a sweep: its pictures along the swept settings, the Pareto front, and a sortable table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nst_jax.errors import InputError
from nst_jax.images.files import data_uri
from nst_jax.report.charts import pareto_chart
from nst_jax.report.run_page import picture_of
from nst_jax.report.templates import fill
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import format_number
from nst_jax.sweeps.figures.contact_sheet import layout
from nst_jax.sweeps.figures.pareto import front
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import describe, format_setting, short_names
from nst_jax.sweeps.table import Table, read_table
from nst_jax.system.atomic_write import atomic_write

_SIDE = 240  # pixels, of a picture on the page at most


def write_sweep_report(sweep: SweepFolder, table: Table | None = None) -> Path:
    """Writes report.html into a sweep folder, whatever the status of its members; returns its path.

    Raises:
        InputError: the folder holds no sweep, or is not writable.
    """
    page = sweep.path / "report.html"
    atomic_write(page, render_sweep(sweep, table).encode())
    return page


def render_sweep(sweep: SweepFolder, table: Table | None = None, *, live: bool = False) -> str:
    """The page of a sweep folder. A live one reloads itself while members wait.

    Raises:
        InputError: the folder holds no sweep.
    """
    table = table or read_table(sweep)
    record, rows = table.record, table.rows
    states = Counter(row["status"] for row in rows)
    members = [_member(sweep, row, table.keys, live) for row in rows]
    groups = table.fronts()
    return fill(
        "sweep.html",
        title=sweep.path.resolve().name,
        refresh=live and "waiting" in states,
        live=False,
        summary=", ".join(f"{count} {status}" for status, count in states.items()),
        blocks=[layout(grid, record["members"], rows) for grid in record["grids"]],
        members=members,
        chart=_chart(groups, members) if groups else None,
        columns=[column for column in rows[0] if column != "folder"] if rows else [],
        rows=[[_cell(value) for column, value in row.items() if column != "folder"] for row in rows],
        missing=[],
    )


def _member(sweep: SweepFolder, row: Mapping[str, Any], keys: Sequence[str], live: bool) -> dict[str, Any]:
    """A member as the page shows it: picture, link, settings and results.

    The link leads to the page of the member, which a live server renders, or, where no page was written, to the picture.
    """
    names = short_names(keys)
    numbers = {name: row.get(name) for name in ("score", "loss", "content_loss", "style_loss", "steps", "seconds")}
    details = [
        f"{name.replace('_', ' ')} {format_number(float(value))}"
        for name, value in numbers.items()
        if isinstance(value, int | float)
    ]
    settings = describe(row, keys, names)
    folder = sweep.path / row["folder"]
    page, picture = folder / "report.html", picture_of(RunFolder(folder))
    return {
        "number": row["member"],
        "status": row["status"],
        "error": row["error"],
        "title": settings or f"member {row['member']}",
        "details": [*([settings] if settings else []), *details],
        "link": f"./{quote(row['folder'])}/{'report.html' if live or page.exists() else picture.name}",
        "thumbnail": _thumbnail(picture),
    }


def _thumbnail(picture: Path) -> str | None:
    try:
        return data_uri(picture, _SIDE)
    except InputError:
        return None


def _chart(groups: Sequence[Sequence[Mapping[str, Any]]], members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chart of the Pareto fronts."""
    rows = [(number, row) for number, group in enumerate(groups) for row in group]
    points = [
        members[row["member"]] | {"content": row["content_loss"], "style": row["style_loss"], "group": number}
        for number, row in rows
    ]
    fronts: list[list[int]] = []
    for group in groups:
        first = sum(map(len, groups[: len(fronts)]))
        fronts.append([first + i for i in front([(row["content_loss"], row["style_loss"]) for row in group])])
    return pareto_chart(points, fronts)


def _cell(value: Any) -> tuple[str, Any, bool]:
    """The text of a cell of the table, the value it is sorted by, and whether that is a number."""
    if isinstance(value, int | float):
        return format_number(float(value)), value, True
    try:
        return format_setting(value), float(value), True
    except (TypeError, ValueError):
        return format_setting(value), format_setting(value), False
