"""TIFFs that Pillow would cut to 8 bits or cannot read: 16 and 32 bits, floats, and compressions known to imagecodecs."""

import io
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import Float, Shaped

from nst_jax.errors import InputError

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow's libtiff reads: none, fax, LZW, JPEG, deflate, PackBits, LZMA, Zstandard.
_PILLOW_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
_JPEG_2000, _JPEG_2000_BITS = (33003, 33004, 33005, 34712), 26  # beyond which OpenJPEG returns other values
_ORIENTATION, _PROFILE, _SUB_IFDS, _DNG_VERSION = 274, 34675, 330, 50706
_REDUCED = 1  # the bit of NewSubfileType
# Orientation to (transpose first?, flips after it): the eight ways to lay a picture down.
_ORIENTATIONS = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


class Samples(NamedTuple):
    """The samples of a TIFF, upright.

    Attributes:
        values: as the file holds them: integers or floats.
        colors: number of color channels, 1 or 3; what follows them is alpha or something else.
        alpha: index of the alpha channel, or None.
        premultiplied: whether colors are multiplied by alpha.
        inverted: whether 0 is white.
        maximum: the value of white (for `inverted`, of black).
        profile: ICC.
    """

    values: Shaped[np.ndarray, "h w c"]
    colors: int
    alpha: int | None
    premultiplied: bool
    inverted: bool
    maximum: float
    profile: bytes | None

    def strip(self, rows: slice) -> tuple[Float[np.ndarray, "r w c1"], Float[np.ndarray, "r w c2"]]:
        """Colors in [0, 1], and alpha in one channel or none, of some rows."""
        color = self._unit(self.values[rows, :, : self.colors])
        if self.inverted:
            color = 1 - color
        if self.alpha is None:
            return color, color[..., :0]
        alpha = self._unit(self.values[rows, :, self.alpha : self.alpha + 1])
        if self.premultiplied:
            color = np.clip(color / np.maximum(alpha, 1e-6), 0, 1)
        return color, alpha

    def _unit(self, values: Shaped[np.ndarray, "r w c"]) -> Float[np.ndarray, "r w c"]:
        if values.dtype.kind == "f":
            return np.clip(values, 0, 1).astype(np.float32)
        return np.clip(values.astype(np.float32) / np.float32(self.maximum), 0, 1)


def is_raw(data: bytes) -> bool:
    """Whether a TIFF is a camera's RAW file: a DNG, or one whose first page is a thumbnail of another."""
    with _muted(), io.BytesIO(data) as stream, tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        return _DNG_VERSION in page.tags or bool(page.subfiletype & _REDUCED and _SUB_IFDS in page.tags)


def read_samples(data: bytes, max_pixels: int, notices: list[str]) -> Samples | None:
    """The samples of a gray or RGB TIFF; None for one that Pillow reads as well.

    Raises:
        InputError: it has missing parts, is not finite, or needs a package that is not installed.
    """
    with _muted(), io.BytesIO(data) as stream, tifffile.TiffFile(stream) as tiff:  # closed, the stream lets go of the data
        page = tiff.pages.first
        tags = {code: page.tags[code].value for code in (_ORIENTATION, _PROFILE) if code in page.tags}
        if _is_for_pillow(page):
            _check_parts(page.dataoffsets)
            return None
        if page.imagelength * page.imagewidth > max_pixels:
            raise InputError(f"must have at most {max_pixels // 1_000_000} megapixels, got more; scale it down first")
        values = _values(page, data)
        if len(tiff.pages) > 1:
            notices.append(f"first of {len(tiff.pages)} frames used")
    values = values[..., None] if values.ndim == 2 else np.moveaxis(values, 0, -1) if page.planarconfig == 2 else values
    values = _upright(values, tags.get(_ORIENTATION, 1))
    _check_range(values, notices)
    kinds = page.extrasamples
    colors = 3 if page.photometric == 2 else 1
    extra = next((i for i, kind in enumerate(kinds) if kind in (1, 2)), None)
    if len(kinds) > (extra is not None):
        notices.append("bands other than color and alpha ignored")
    maximum = 2.0 ** (page.bitspersample - (values.dtype.kind == "i")) - 1
    return Samples(
        values,
        colors,
        None if extra is None else colors + extra,
        extra is not None and kinds[extra] == 1,
        page.photometric == 0,
        maximum,
        tags.get(_PROFILE),
    )


def _is_for_pillow(page: tifffile.TiffPage) -> bool:
    if page.photometric not in (0, 1, 2) or page.dtype is None:
        return True
    premultiplied_gray = page.photometric != 2 and 1 in page.extrasamples  # which Pillow reads from 13 on
    simple = page.dtype in (np.uint8, np.bool_) and len(page.extrasamples) <= 1 and not premultiplied_gray
    return simple and page.compression in _PILLOW_COMPRESSIONS


def _values(page: tifffile.TiffPage, data: bytes) -> Shaped[np.ndarray, "..."]:
    assert page.dtype is not None
    if page.dtype.kind not in "uif":
        raise InputError(f"must have integers or floats as pixels, got {page.dtype}; export it again")
    if page.compression in _JPEG_2000 and page.bitspersample > _JPEG_2000_BITS:
        raise InputError(f"must have at most {_JPEG_2000_BITS} bits in JPEG 2000, got {page.bitspersample}; save it as 16 bits")
    count = math.prod(page.chunked)
    _check_parts(page.dataoffsets, count)
    _check_parts(page.databytecounts, count)
    if page.is_final:  # the samples lie in the file as they are: no copy
        kind = page.dtype.newbyteorder(page.parent.byteorder)
        return np.frombuffer(data, kind, math.prod(page.shape), page.dataoffsets[0]).reshape(page.shape)
    try:
        return page.asarray(buffersize=2**22)
    except (KeyError, ValueError, ImportError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        form = f"{getattr(page.compression, 'name', page.compression)} compression of {page.dtype}"
        raise InputError(
            f'must be a TIFF that can be unpacked, got {form}; pip install imagecodecs (or "nst_jax[formats]"), '
            "or save it without compression"
        ) from error


def _check_parts(numbers: Sequence[int], count: int = 0) -> None:
    """Raises InputError if a strip or tile has the offset or length 0, as those never written have, or there are too few."""
    if len(numbers) < count or 0 in numbers[: count or None]:
        raise InputError("must be a whole picture file, got a TIFF with missing parts; copy or export it again")


def _check_range(values: Shaped[np.ndarray, "h w c"], notices: list[str]) -> None:
    if values.dtype.kind == "u":
        return
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        raise InputError("must have finite pixels, got NaN or infinity; export it again")
    if low < 0 or (values.dtype.kind == "f" and high > 1):
        notices.append("pixels outside [0, 1] clipped")


def _upright(values: Shaped[np.ndarray, "h w c"], orientation: int) -> Shaped[np.ndarray, "h2 w2 c"]:
    transpose, flips = _ORIENTATIONS.get(orientation, (False, ()))
    return np.flip(values.swapaxes(0, 1) if transpose else values, flips)


@contextmanager
def muted_libtiff() -> Iterator[None]:
    """Standard error closed while Pillow's libtiff decodes: it writes of damage there by itself, past Python."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _muted() -> Iterator[None]:
    """Silences what tifffile logs about odd tags."""
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
