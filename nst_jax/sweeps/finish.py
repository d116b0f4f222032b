"""The end of a sweep: its members are scored, and its table and figures written."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst_jax.errors import MembersFailed, printable
from nst_jax.runs.folder import resume_command
from nst_jax.sweeps.figures.contact_sheet import draw_sheet
from nst_jax.sweeps.figures.page import write_sweep_report
from nst_jax.sweeps.figures.pareto import draw_pareto
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.scoring import score_members
from nst_jax.sweeps.table import read_table, write_table


@contextmanager
def summarized(sweep: SweepFolder, *, quiet: bool) -> Iterator[None]:
    """Keeps other processes from running the sweep, and sums it up at the end of the block, also after an exception.

    Raises:
        InputError: another process runs it.
        MembersFailed: some of its members have no picture.
    """
    with sweep.running():
        try:
            yield
            score_members(sweep)
        finally:
            sweep.close()
            summary = summarize(sweep)
            if not quiet:
                print(printable(summary), flush=True)
    if any(member["status"] == "failed" for member in sweep.read()["members"]):
        raise MembersFailed


def summarize(sweep: SweepFolder) -> str:
    """Writes table.csv, contact_sheet.png, report.html and, where there is something to compare, pareto.png.

    Returns:
        One line with the folder, the number of members by status, and the command that continues with the others.
    """
    table = read_table(sweep)
    write_table(sweep, table)
    draw_sheet(sweep, table)
    draw_pareto(sweep, table)
    write_sweep_report(sweep, table)
    counts = Counter(row["status"] for row in table.rows)
    states = ", ".join(f"{count} {status}" for status, count in counts.items())
    where = os.path.relpath(sweep.path) if sweep.path.absolute().is_relative_to(Path.cwd()) else sweep.path
    on = "" if counts.keys() == {"done"} else f"; to continue: {resume_command(Path(where))}"
    return f"{where}: {states}; see report.html, contact_sheet.png and table.csv{on}"
