"""Tables and sheets for lab books. As a command: columns of a sweep's table, and its contact sheet as a small JPEG.

python -m experiments.lib.figures sweeps/FOLDER --columns style_w2_vgg16 lpips_alex --sheet experiments/013-layers/style.jpg
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from nst_jax.runs.progress import format_number
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import format_setting, short_names
from nst_jax.sweeps.table import read_table

WIDTH = 1100  # of a sheet, in pixels, at most
GAP = 4  # between pictures, in pixels


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of the rows, which have the same keys.

    Example:
        >>> print(markdown([{"layer": "relu1_1", "loss": 0.12345}, {"layer": "relu2_1", "loss": None}]))
        | layer | loss |
        | --- | --- |
        | relu1_1 | 0.123 |
        | relu2_1 |  |
    """
    lines = [[_cell(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(rows[0]), ["---"] * len(rows[0]), *lines])


def _cell(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else format_setting(None if value is None else str(value))


def mosaic(pictures: Sequence[Image.Image], columns: int, captions: Sequence[str] = ()) -> Image.Image:
    """Pictures in rows, each as high as the highest and as wide as its own row needs, with their captions below."""
    below = 18 if captions else 0
    height = max(picture.height for picture in pictures) + below + GAP
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    width = max(sum(picture.width + GAP for picture in row) for row in rows)
    sheet = Image.new("RGB", (width, height * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        left = 0
        for i, picture in enumerate(row):
            sheet.paste(picture, (left, number * height))
            if captions:
                at = left + 2, (number + 1) * height - below - GAP + 3
                draw.text(at, captions[number * columns + i], fill="black")
            left += picture.width + GAP
    return sheet


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--columns", nargs="+", default=["content_loss", "style_loss"], help="of table.csv")
    parser.add_argument("--sheet", type=Path, help="the JPEG")
    options = parser.parse_args()
    sweep = SweepFolder(options.sweep)
    names = short_names(list(sweep.read()["keys"])) | {column: column for column in options.columns}
    print(markdown([{name: row[key] for key, name in names.items()} for row in read_table(sweep).rows]))
    if options.sheet:
        sheet = Image.open(options.sweep / "contact_sheet.png").convert("RGB")
        sheet.thumbnail((WIDTH, sheet.height))
        sheet.save(options.sheet, quality=85)


if __name__ == "__main__":
    main()
