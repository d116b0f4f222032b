"""`python -m nst_jax.runs list | show DIR | compare A B`: what runs left, as tables or, with --json, for programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nst_jax.runs.diff import flat
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.progress import format_number
from nst_jax.runs.query import brief, compare, find_runs, full
from nst_jax.runs.strict_json import strict_json
from nst_jax.system.cli import Parser, run_cli

_USUAL = [Path("runs"), Path("sweeps")]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code: 0, or 2 for bad input, which is told in one line."""
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
    parser = Parser(prog="python -m nst_jax.runs", description="What runs left.")
    acts = parser.add_subparsers(required=True, metavar="list | show | compare")
    one = acts.add_parser("list", help="a line for each run, the newest first")
    one.add_argument("places", nargs="*", type=Path, metavar="DIR", help="where to look; else runs/ and sweeps/")
    one.set_defaults(act=_list)
    one = acts.add_parser("show", help="everything about one run")
    one.add_argument("folder", type=Path, metavar="DIR")
    one.set_defaults(act=_show)
    one = acts.add_parser("compare", help="what differs between two runs: settings, environment, losses, pictures")
    one.add_argument("one", type=Path, metavar="A")
    one.add_argument("other", type=Path, metavar="B")
    one.set_defaults(act=_compare)
    for act in acts.choices.values():
        act.add_argument("--json", action="store_true", help="for programs")
    return parser


def _list(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    runs = [brief(folder) for folder in find_runs(options.places or [place for place in _USUAL if place.is_dir()])]
    table = Table("started", "folder", "size", "steps", "loss", "seconds", "status")
    for run in runs:
        status = str(run["status"] or "unreadable") + (f": {run['error']}" if run["error"] else "")
        numbers = (
            _plain(run.get("size")),
            _plain(run.get("step")),
            format_number(run.get("loss")),
            format_number(run.get("seconds")),
        )
        table.add_row(str(run["started"] or "-")[:16].replace("T", " "), run["folder"], *numbers, status)
    return runs, [table]


def _show(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    facts = full(RunFolder(options.folder))
    table = Table("", "", title=str(options.folder), show_header=False)
    for key, value in flat(facts):
        table.add_row(key, _plain(value))
    return facts, [table]


def _compare(options: argparse.Namespace) -> tuple[Any, list[Table]]:
    facts = compare(RunFolder(options.one), RunFolder(options.other))
    tables = []
    for part in ("config", "facts", "last"):
        table = Table(part, str(options.one), str(options.other))
        for key, both in facts[part].items():
            table.add_row(key, *map(format_number if part == "last" else _plain, both))
        tables.append(table)
    apart = facts["pictures"]
    table = Table("pictures", "mean difference (of 1)", "largest", "PSNR in dB")
    if apart:
        table.add_row("", *(f"{apart[key]:.4g}" for key in ("mean", "largest", "psnr")))
    else:
        table.add_row("not of one size, or not there", "-", "-", "-")
    return facts, [*tables, table]


def _plain(value: Any) -> str:
    return "-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
