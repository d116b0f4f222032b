"""`nst-jax studio`, also `python -m nst_jax.studio`: a page on this machine to make pictures with."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from nst_jax.system.cli import Parser, run_cli, start


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line: prints the address and serves until Ctrl-C; returns 0, or 2 for something to mend."""
    parser = Parser(prog="nst-jax studio", description="Open a page on this machine to make pictures with.")
    parser.add_argument("--dir", type=Path, default=Path("studio"), help="where everything is kept (default: studio)")
    parser.add_argument("--styles", type=Path, metavar="DIR", help="a folder of paintings to choose from")
    parser.add_argument("--port", type=int, help="default: 7860, or any free port")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that starts it in the background turns the first off
        signal.signal(number, signal.default_int_handler)
    return run_cli(lambda: _serve(options.dir.expanduser(), options.styles, options.port, not options.no_browser))


def _serve(path: Path, styles: Path | None, port: int | None, browser: bool) -> int:
    from nst_jax.studio.server import serve

    serve(path, styles.expanduser() if styles else None, port, browser)
    return 0


if __name__ == "__main__":
    start("-m", "nst_jax.studio")
    sys.exit(main())
