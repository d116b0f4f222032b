"""Paintings put together from the puzzle of GCompris, whose pieces are WebP files in an archive of Qt's resource compiler."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

BOARDS = {"wave": "board7_0", "composition": "board19_0", "summertime": "board21_0"}
_PIECE = re.compile(r'"image/([^"]+\.webp)",\s*"x"\s*:\s*"([\d.]+)",\s*"y"\s*:\s*"([\d.]+)"')
_BOARD = (702, 515)  # width and height in pixels, of which a piece's place is a share
_FOLDER, _COMPRESSED = 2, 1  # flags of an entry


def assemble(archive: Path, name: str) -> Image.Image:
    """The painting `name` from `paintings.rcc`."""
    files = dict(_entries(archive.read_bytes()))
    found = _PIECE.findall(files[f"{BOARDS[name]}.qml"].decode("utf-8"))
    pieces = [np.asarray(Image.open(io.BytesIO(files[file])).convert("RGBA")) for file, _, _ in found]
    middles = np.array([[float(y), float(x)] for _, x, y in found]) * _BOARD[::-1]
    corners = middles - np.array([piece.shape[:2] for piece in pieces]) / 2
    corners = np.round(corners - corners.min(0)).astype(int)
    height, width = np.max([corner + piece.shape[:2] for corner, piece in zip(corners, pieces, strict=True)], 0)
    whole = np.zeros((height, width, 3), np.uint8)
    for (top, left), piece in zip(corners, pieces, strict=True):
        place, shown = whole[top : top + piece.shape[0], left : left + piece.shape[1]], piece[..., 3] > 0
        place[shown] = piece[..., :3][shown]
    return Image.fromarray(whole[2:-2, 2:-2])  # some pieces are short by a pixel


def _entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files of a resource archive of format 2 or 3."""
    magic, version, tree, contents, names = struct.unpack(">4sIIII", data[:20])
    if magic != b"qres" or version < 2:
        raise ValueError(f"archive must begin with 'qres' and have format 2 or 3, got {data[:4]!r}, {version}")

    def walk(number: int) -> Iterator[tuple[str, bytes]]:
        entry = tree + 22 * number
        name, flags = struct.unpack(">IH", data[entry : entry + 6])
        if flags & _FOLDER:
            count, first = struct.unpack(">II", data[entry + 6 : entry + 14])
            for child in range(first, first + count):
                yield from walk(child)
            return
        (length,) = struct.unpack(">H", data[names + name : names + name + 2])
        title = data[names + name + 6 : names + name + 6 + 2 * length].decode("utf-16-be")
        (place,) = struct.unpack(">I", data[entry + 10 : entry + 14])
        (size,) = struct.unpack(">I", data[contents + place : contents + place + 4])
        body = data[contents + place + 4 : contents + place + 4 + size]
        yield title, zlib.decompress(body[4:]) if flags & _COMPRESSED else body

    return walk(0)
