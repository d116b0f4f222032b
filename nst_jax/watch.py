"""`python -m nst_jax.watch DIR`: a run or a sweep in a browser on this machine while it goes on."""

import argparse
import signal
import sys
from pathlib import Path

from nst_jax.errors import InputError
from nst_jax.runs.server import live_page, serve
from nst_jax.sweeps.folder import SweepFolder, is_sweep
from nst_jax.sweeps.report import render_sweep


def main() -> None:
    """The command line: prints the address and serves until Ctrl-C; exit code 2 and one line for no run folder."""
    parser = argparse.ArgumentParser(prog="python -m nst_jax.watch", description="Show a run in a browser while it goes on.")
    parser.add_argument("dir", type=Path, help="the folder of the run or sweep")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background turns this off
    try:
        page(options.dir)
        with serve(options.dir, options.port, page) as server:
            print(f"http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C ends it)", flush=True)
            server.serve_forever()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        pass  # the way to end it


def page(folder: Path) -> str:
    """The page of a run or a sweep as it is now. Raises an InputError if the folder is neither."""
    if is_sweep(folder):
        return render_sweep(SweepFolder(folder), live=True)
    return live_page(folder)


if __name__ == "__main__":
    main()
