"""The contact sheet: the pictures of a sweep, grid below grid, along their swept settings."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.runs.progress import format_number
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import format_setting, short_names, value_of
from nst_jax.sweeps.table import Table
from nst_jax.system.atomic_write import atomic_write
from nst_jax.types import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pixels: the longer side of a picture at most (small ones are enlarged), a cell at least; gaps, row labels, lines of text.
LONGEST, LEAST, GAP, LABELS, LINE = 256, 128, 8, 150, 15
# Members per row without two axes, and the most values along an axis.
COLUMNS, MOST_COLUMNS = 6, 40
_DPI = 100


@dataclass(frozen=True)
class Block:
    """The layout of one grid.

    Attributes:
        title: names the axes.
        rows: a label for each row.
        columns: a label for each column.
        members: (row, column) -> number of the member.
        captions: number of the member -> the text below it.
    """

    title: str
    rows: list[str]
    columns: list[str]
    members: dict[tuple[int, int], int]
    captions: dict[int, str]


def layout(grid: Mapping[str, Any], members: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Block:
    """Lays out a grid: the last swept setting along the columns, the product of the others along the rows.

    Members that are no full product, or that differ in one setting only, follow each other row by row with their settings.

    Args:
        grid: keys and members, as in sweep.json.
        members: all members of the sweep, as in sweep.json.
        rows: the table of the sweep, see `nst_jax.sweeps.table`; shown is the score if there is one, otherwise the final loss.
    """
    keys, numbers, names = grid["keys"], grid["members"], short_names(list(grid["keys"]))
    shown_value = "score" if any(row.get("score") is not None for row in rows) else "loss"
    values = {number: rows[number].get(shown_value) for number in numbers}  # texts, where `loss` is the swept setting
    captions = {
        number: f"{number}" if isinstance(value, str) else f"{number}: {shown_value} {format_number(value)}"
        for number, value in values.items()
    }
    full = len(keys) > 1 and math.prod(map(len, keys.values())) == len(numbers)
    if full and len(list(keys.values())[-1]) <= MOST_COLUMNS:
        *outer, last = keys
        lines = product(*(keys[key] for key in outer))
        labels = [
            "\n".join(f"{names[key]} {format_setting(value)}" for key, value in zip(outer, line, strict=True)) for line in lines
        ]
        places = {divmod(i, len(keys[last])): number for i, number in enumerate(numbers)}
        title = f"rows: {', '.join(outer)}; columns: {last}"
        return Block(title, labels, [f"{names[last]} {format_setting(value)}" for value in keys[last]], places, captions)
    width = min(len(numbers), COLUMNS)
    for number in numbers:
        overrides = members[number]["overrides"]
        captions[number] += "".join(f"\n{names[key]} {format_setting(value_of(overrides, key))}" for key in keys)
    places = {divmod(i, width): number for i, number in enumerate(numbers)}
    return Block(", ".join(keys), [""] * math.ceil(len(numbers) / width), [""] * width, places, captions)


def draw_sheet(sweep: SweepFolder, table: Table) -> None:
    """Writes contact_sheet.png; the cell of a member without a picture says why."""
    from matplotlib.figure import Figure  # takes a second to import

    record, rows = table.record, table.rows
    pictures = {i: _picture(sweep, member["folder"]) for i, member in enumerate(record["members"])}
    sizes = [picture.shape[1:3] for picture in pictures.values() if picture is not None] or [(LEAST, LEAST)]
    place = max(LEAST, *(height for height, _ in sizes)), max(LEAST, *(width for _, width in sizes))
    blocks = [_wrapped(layout(grid, record["members"], rows), place[1]) for grid in record["grids"]]
    left = LABELS if any(any(block.rows) for block in blocks) else 0
    width = max((left + len(block.columns) * (place[1] + GAP) for block in blocks), default=LABELS) + GAP
    height = sum(_height(block, place) for block in blocks) or LABELS
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    page, top = _Page(figure, width, height), 0
    for block in blocks:
        _draw_block(page, block, pictures, record["members"], place, left, top)
        top += _height(block, place)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    atomic_write(sweep.path / "contact_sheet.png", buffer.getvalue())


def _picture(sweep: SweepFolder, folder: str) -> Pixels | None:
    try:
        pixels = read_image(sweep.path / folder / "result.png").pixels
    except InputError:
        return None
    height, width = pixels.shape[1:3]
    if max(height, width) > LONGEST:
        return resize(pixels, fit_long_side(height, width, LONGEST))
    return pixels.repeat(times := max(1, LONGEST // max(height, width)), axis=1).repeat(times, axis=2)


def _wrapped(block: Block, width: int) -> Block:
    """The block with its texts wrapped to `width` pixels."""

    def fit(text: str, pixels: int) -> str:
        lines = [textwrap.wrap(line, max(8, int(pixels / 6.6))) or [""] for line in text.split("\n")]
        return "\n".join(line for part in lines for line in part)

    captions = {number: fit(text, width) for number, text in block.captions.items()}
    rows, columns = [fit(text, LABELS - GAP) for text in block.rows], [fit(text, width) for text in block.columns]
    return Block(block.title, rows, columns, block.members, captions)


def _lines(texts: Sequence[str]) -> int:
    return max(text.count("\n") + 1 if text else 0 for text in texts)


def _height(block: Block, place: tuple[int, int]) -> int:
    row = place[0] + LINE * _lines(list(block.captions.values())) + 2 * GAP
    return 2 * LINE + 2 * GAP + LINE * _lines(block.columns) + len(block.rows) * row


class _Page:
    """A figure with coordinates in pixels from the upper left corner."""

    def __init__(self, figure: "Figure", width: int, height: int) -> None:
        self.figure, self.width, self.height = figure, width, height

    def write(self, x: int | float, y: int | float, text: str, **options: Any) -> None:
        options = {"fontsize": 8, "va": "top", "linespacing": 1.25} | options
        self.figure.text(x / self.width, 1 - y / self.height, text, parse_math=False, **options)

    def show(self, x: int | float, y: int | float, pixels: Pixels) -> None:
        height, width = pixels.shape[1:3]
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.imshow(pixels[0], interpolation="nearest")
        axes.set_axis_off()


def _draw_block(
    page: _Page,
    block: Block,
    pictures: Mapping[int, Pixels | None],
    members: Sequence[Mapping[str, Any]],
    place: tuple[int, int],
    left: int,
    top: int,
) -> None:
    page.write(GAP, top + GAP, block.title, fontsize=9, fontweight="bold")
    y = top + GAP + 2 * LINE
    for column, label in enumerate(block.columns):
        page.write(left + GAP + column * (place[1] + GAP) + place[1] / 2, y, label, ha="center")
    y += LINE * _lines(block.columns) + GAP / 2
    captions = LINE * _lines(list(block.captions.values()))
    for row, label in enumerate(block.rows):
        page.write(GAP, y + place[0] / 2, label, va="center")
        for column in range(len(block.columns)):
            if (row, column) in block.members:
                number = block.members[row, column]
                x = left + GAP + column * (place[1] + GAP)
                _draw_member(page, x, y, pictures[number], members[number], place)
                page.write(x, y + place[0] + 3, block.captions[number], fontsize=7.5, color="0.25")
        y += place[0] + captions + 2 * GAP


def _draw_member(
    page: _Page, x: int | float, y: int | float, picture: Pixels | None, member: Mapping[str, Any], place: tuple[int, int]
) -> None:
    if picture is None:
        page.show(x, y, np.full((1, *place, 3), 0.93, np.float32))
        why = "\n".join(textwrap.wrap(member["error"] or "", max(8, int(place[1] / 5.5)))[: place[0] // 14 - 2])
        page.write(x + GAP, y + GAP, f"{member['status']}\n{why}", fontsize=7, color="0.3")
    else:
        down, right = (place[0] - picture.shape[1]) // 2, (place[1] - picture.shape[2]) // 2
        page.show(x + right, y + down, picture)
        if member["status"] != "done":
            page.write(x, y, f" {member['status']} ", color="white", backgroundcolor="0.3", fontsize=7)
