"""Images: files, arrays and colors. Large pictures are converted in strips, so that intermediate arrays stay small."""

from collections.abc import Iterator

# Pixels of a strip, at least one row: 0.8 MB as float32 in three channels.
PIXELS = 2**16


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of each strip, from the top down.

    >>> list(strips(5, PIXELS // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
