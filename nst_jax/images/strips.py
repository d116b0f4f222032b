"""Strips: a large picture a few rows at a time, so that whatever is made of them on the way to another form is small."""

from collections.abc import Iterator

# So many pixels have a strip, or the whole row that it takes at least: as float32 in three channels 0.8 MB.
PIXELS = 2**16


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of each strip, from the top down.

    >>> list(strips(5, PIXELS // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
