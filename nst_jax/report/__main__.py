"""`python -m nst_jax.report DIR`: write the pages of a run folder, or of a sweep folder and its members, anew."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.report")

from nst_jax.errors import InputError, printable
from nst_jax.report.run_page import write_pages
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.figures.page import write_sweep_report
from nst_jax.sweeps.folder import SweepFolder, is_sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints the path of the page; returns the exit code: 0, or 2 for a folder that holds no run."""
    parser = Parser(
        prog="python -m nst_jax.report",
        description="Write report.html and losses.png of a run, or of a sweep and its members, anew.",
    )
    parser.add_argument("dir", type=Path, help="the folder")
    folder = parser.parse_args(arguments).dir
    return run_cli(lambda: _write(folder))


def _write(folder: Path) -> int:
    print(printable(str(_sweep_page(SweepFolder(folder)) if is_sweep(folder) else write_pages(RunFolder(folder)))))
    return 0


def _sweep_page(sweep: SweepFolder) -> Path:
    """Writes the pages of the members that have begun, and that of the sweep, which links to them; returns its path."""
    for member in sweep.read()["members"]:
        with suppress(InputError):  # not begun, or damaged, which the page of the sweep shows
            write_pages(RunFolder(sweep.path / member["folder"]))
    return write_sweep_report(sweep)


if __name__ == "__main__":
    sys.exit(main())
