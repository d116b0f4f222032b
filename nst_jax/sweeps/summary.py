"""What a sweep is summed up to: its table and its figures."""

import os
from collections import Counter
from pathlib import Path

from nst_jax.runs.folder import how_to_go_on
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.pareto import draw_pareto
from nst_jax.sweeps.report import write_sweep_report
from nst_jax.sweeps.sheet import draw_sheet
from nst_jax.sweeps.table import measure_of, rows_of, write_table


def summarize(sweep: SweepFolder) -> str:
    """Writes table.csv, contact_sheet.png, report.html and, where there is something to compare, pareto.png.

    Returns:
        A line that says where, how many members are done, and how to go on with the others.
    """
    rows = rows_of(sweep)
    keys = list(sweep.read()["keys"])
    write_table(sweep, rows)
    draw_sheet(sweep, rows)
    draw_pareto(sweep, rows, [measure_of(sweep.member(row["member"])) for row in rows], keys)
    write_sweep_report(sweep.path)
    counts = Counter(row["status"] for row in rows)
    states = ", ".join(f"{count} {status}" for status, count in counts.items())
    where = os.path.relpath(sweep.path) if sweep.path.absolute().is_relative_to(Path.cwd()) else sweep.path
    on = "" if counts.keys() == {"done"} else f"; to go on: {how_to_go_on(Path(where))}"
    return f"{where}: {states}; see report.html, contact_sheet.png and table.csv{on}"
