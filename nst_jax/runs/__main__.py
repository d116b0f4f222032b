"""`python -m nst_jax.runs list | show DIR | compare A B`: recorded runs as tables or, with --json, for programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.runs")

from nst_jax.errors import printable
from nst_jax.runs.diff import flat
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import format_number
from nst_jax.runs.query import compare, describe, find_runs, summarize
from nst_jax.system.records import strict_json

_USUAL = [Path("runs"), Path("sweeps")]
_LONGEST = 1000  # letters of a cell


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 2 for bad input, after a one-line message."""
    options = _parser().parse_args(arguments)
    return run_cli(lambda: _print(*options.act(options), as_json=options.json))


def _print(facts: Any, tables: list[Table], *, as_json: bool) -> int:
    if as_json:
        print(strict_json(facts, indent=2))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    for table in tables:
        console.print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m nst_jax.runs", description="List, show and compare recorded runs.")
    acts = parser.add_subparsers(required=True, metavar="list | show | compare")
    one = acts.add_parser("list", help="one line per run, newest first")
    one.add_argument("places", nargs="*", type=Path, metavar="DIR", help="where to look (default: runs/ and sweeps/)")
    one.set_defaults(act=_list)
    one = acts.add_parser("show", help="everything recorded about a run")
    one.add_argument("folder", type=Path, metavar="DIR")
    one.set_defaults(act=_show)
    one = acts.add_parser("compare", help="differences between two runs: settings, environment, losses, pictures")
    one.add_argument("one", type=Path, metavar="A")
    one.add_argument("other", type=Path, metavar="B")
    one.set_defaults(act=_compare)
    for act in acts.choices.values():
        act.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    runs = [summarize(folder) for folder in find_runs(options.places or [place for place in _USUAL if place.is_dir()])]
    table = Table("started", "folder", "content", "style", "size", "steps", "loss", "seconds", "status")
    for run in runs:
        status = run["status"] + (f": {run['error']}" if run["error"] else "")
        numbers = (run.get("size"), run.get("step"), format_number(run.get("loss")), format_number(run.get("seconds")))
        started = str(run["started"] or "-")[:16].replace("T", " ")
        _add_row(table, started, run["folder"], run["content"], run["style"], *numbers, status)
    return runs, [table]


def _show(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    facts = describe(RunFolder(options.folder))
    table = Table("", "", title=Text(printable(str(options.folder))), show_header=False)
    for key, value in flat(facts):
        _add_row(table, key, value)
    return facts, [table]


def _compare(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    facts = compare(RunFolder(options.one), RunFolder(options.other))
    tables = []
    for part in ("config", "facts", "last"):
        table = Table(part)
        for path in (options.one, options.other):
            table.add_column(Text(printable(str(path))))
        for key, both in facts[part].items():
            _add_row(table, key, *(map(format_number, both) if part == "last" else both))
        tables.append(table)
    apart = facts["pictures"]
    table = Table("pictures", "mean difference (of 1)", "largest", "PSNR in dB")
    values = [f"{apart[key]:.4g}" for key in ("mean", "largest", "psnr")] if apart else ["-"] * 3
    _add_row(table, "" if apart else "missing, or of different sizes", *values)
    return facts, [*tables, table]


def _add_row(table: Table, *cells: Any) -> None:
    """Adds a row of plain text: nothing in a record is taken as markup or as a control sequence."""
    table.add_row(*(Text(_shortened(printable(_plain(cell)))) for cell in cells))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _plain(value: Any) -> str:
    return "-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
