"""What a sweep is summed up to: its table and its figures."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst_jax.errors import MembersFailed
from nst_jax.runs.folder import resume_command
from nst_jax.sweeps.figures.contact_sheet import draw_sheet
from nst_jax.sweeps.figures.page import write_sweep_report
from nst_jax.sweeps.figures.pareto import draw_pareto
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.scoring import score_members
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
    on = "" if counts.keys() == {"done"} else f"; to go on: {resume_command(Path(where))}"
    return f"{where}: {states}; see report.html, contact_sheet.png and table.csv{on}"


@contextmanager
def always_summarize(sweep: SweepFolder) -> Iterator[None]:
    """While the members of a sweep run: if that ends before its time, what there is is summed up all the same."""
    try:
        yield
    except BaseException:
        print_summary_of_sweep(sweep)
        raise


def conclude(sweep: SweepFolder) -> None:
    """Scores and sums up a sweep that has ended. Raises MembersFailed if some of its members have no picture."""
    score_members(sweep)
    print_summary_of_sweep(sweep)
    if any(member["status"] == "failed" for member in sweep.read()["members"]):
        raise MembersFailed


def print_summary_of_sweep(sweep: SweepFolder) -> None:
    """Writes the table and the figures of what there is, and says where they are."""
    sweep.close()
    print(summarize(sweep), flush=True)
