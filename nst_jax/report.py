"""`python -m nst_jax.report DIR`: write report.html of a run folder or a sweep folder anew."""

import argparse
import sys
from pathlib import Path

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.report import write_report
from nst_jax.sweeps.folder import is_sweep
from nst_jax.sweeps.report import write_sweep_report


def main() -> None:
    """The command line: prints the path of the page; exit code 2 and one line for a folder that holds no run."""
    parser = argparse.ArgumentParser(prog="python -m nst_jax.report", description="Write report.html of a run or a sweep anew.")
    parser.add_argument("dir", type=Path, help="the folder")
    try:
        folder = parser.parse_args().dir
        print(write_sweep_report(folder) if is_sweep(folder) else write_report(RunFolder(folder)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
