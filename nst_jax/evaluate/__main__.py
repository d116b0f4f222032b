"""`python -m nst_jax.evaluate --content C --style S IMAGE...`: scores of finished pictures, as a table and as JSON."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.evaluate")

from nst_jax.errors import InputError, printable
from nst_jax.evaluate import __doc__ as _SCORES
from nst_jax.evaluate import scores
from nst_jax.images.files import Picture, read_image
from nst_jax.images.named import find_image
from nst_jax.runs.folder import RunFolder
from nst_jax.system.atomic_write import atomic_write
from nst_jax.system.compilation_cache import use_compilation_cache

_ABOUT = f"""\
{(_SCORES or "").strip()}

`seconds` is the total duration of the run, from manifest.json beside the picture; null in JSON if there is none.
Needs: pip install "nst_jax[lpips]".
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    return run_cli(lambda: _evaluate(options))


def _evaluate(options: argparse.Namespace) -> int:
    use_compilation_cache()
    rows = _score_all(options.content, options.style, options.images)
    if options.json:
        atomic_write(options.json, (json.dumps(rows, indent=2) + "\n").encode())
    Console(width=None if sys.stdout.isatty() else 200).print(_table(rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m nst_jax.evaluate", description=_ABOUT, formatter_class=form)
    parser.add_argument("--content", required=True, metavar="C", help="the content picture: a file, or a name as in content=C")
    parser.add_argument("--style", required=True, metavar="S", help="the style picture: a file, or a name as in style=S")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="finished pictures, or run folders")
    parser.add_argument("--json", type=Path, metavar="FILE", help='also write {"image": {"lpips_alex": ..., ...}, ...}')
    return parser


def _score_all(content: str, style: str, images: Sequence[Path]) -> dict[str, dict[str, float | None]]:
    scene, manner = _picture(content).pixels, _picture(style).pixels
    files = [path / "result.png" if path.is_dir() else path for path in images]
    pictures = [read_image(file) for file in files]
    return {
        str(path): {**scores(scene, manner, picture.pixels), "seconds": _seconds(file)}
        for path, file, picture in zip(images, files, pictures, strict=True)
    }


def _picture(name: str) -> Picture:
    """The picture in the file `name`, or the sample picture of that name if it does not look like a path."""
    path = Path(os.path.expanduser(name))
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return read_image(path)
    return find_image(name)


def _seconds(image: Path) -> float | None:
    """The total duration of the run that made this picture."""
    try:
        manifest = RunFolder(image.parent).read_manifest() if image.name == "result.png" else {}
    except InputError:
        return None
    return manifest.get("seconds", {}).get("total")


def _table(rows: dict[str, dict[str, float | None]]) -> Table:
    table = Table()
    table.add_column("image", overflow="fold")
    for key in next(iter(rows.values())):
        table.add_column(key, justify="right")
    for name, row in rows.items():
        table.add_row(Text(printable(name)), *("-" if value is None else f"{value:.3f}" for value in row.values()))
    return table


if __name__ == "__main__":
    sys.exit(main())
