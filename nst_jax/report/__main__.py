"""`python -m nst_jax.report DIR`: write report.html of a run folder or a sweep folder anew."""

import sys
from collections.abc import Sequence
from pathlib import Path

from nst_jax.errors import printable
from nst_jax.report.run_page import write_report
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.figures.page import write_sweep_report
from nst_jax.sweeps.folder import SweepFolder, is_sweep
from nst_jax.system.cli import Parser, run_cli


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints the path of the page; returns the exit code: 0, or 2 for a folder that holds no run."""
    parser = Parser(prog="python -m nst_jax.report", description="Write report.html of a run or a sweep anew.")
    parser.add_argument("dir", type=Path, help="the folder")
    folder = parser.parse_args(arguments).dir
    return run_cli(lambda: _write(folder))


def _write(folder: Path) -> int:
    page = write_sweep_report(SweepFolder(folder)) if is_sweep(folder) else write_report(RunFolder(folder))
    print(printable(str(page)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
