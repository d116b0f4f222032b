"""`python -m nst_jax.watch DIR`: a run or sweep in a browser on this machine while it is going."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.watch")

from nst_jax.report.server import live_page, serve
from nst_jax.sweeps.figures.page import render_sweep
from nst_jax.sweeps.folder import SweepFolder, is_sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line: prints the address and serves until Ctrl-C; returns 0, or 2 if the folder holds no run."""
    parser = Parser(prog="python -m nst_jax.watch", description="Show a run or sweep in a browser while it is going.")
    parser.add_argument("dir", type=Path, help="the folder of the run or sweep")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background turns this off
    return run_cli(lambda: _serve(options.dir, options.port))


def _serve(folder: Path, port: int) -> int:
    page(folder)
    server = serve(folder, port, page)
    print(f"http://127.0.0.1:{server.effective_port}/ (Ctrl-C to stop)", flush=True)
    server.run()  # until Ctrl-C
    return 0


def page(folder: Path) -> str:
    """The page of a run or a sweep as it is now. Raises an InputError if the folder is neither."""
    if is_sweep(folder):
        return render_sweep(SweepFolder(folder), live=True)
    return live_page(folder)


if __name__ == "__main__":
    sys.exit(main())
