"""Films: GIF by Pillow, and MP4 by PyAV where it is installed; one frame at a time is in memory."""

import io
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nst_jax.images.decode import pillow_limits
from nst_jax.system.atomic_write import PART, atomic_write, os_errors_as_input

Frame = UInt8[np.ndarray, "h w 3"]


def can_write_mp4() -> bool:
    """Whether the encoder is there: `pip install -e ".[video]"` brings it."""
    return find_spec("av") is not None


def read_frame(path: Path, width_height: tuple[int, int]) -> Frame:
    """The picture in `path`, brought to a size, in 8 bits."""
    with pillow_limits(), Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(width_height, Image.Resampling.LANCZOS))


def write_gif(path: Path, frames: Iterable[Frame], milliseconds: list[int]) -> None:
    """Writes a film that repeats, each frame with its own 256 colors and its own time.

    Raises:
        InputError: the disk refuses.
    """
    pictures = (Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in frames)
    out = io.BytesIO()
    next(pictures).save(out, format="GIF", save_all=True, append_images=pictures, duration=milliseconds, loop=0)
    atomic_write(path, out.getvalue())


def write_mp4(path: Path, frames: Iterable[Frame], width_height: tuple[int, int], per_second: int) -> None:
    """Writes H.264 that every browser plays.

    Args:
        path: the file; nothing is seen under its name before it is whole.
        frames: of one size.
        width_height: that size; even numbers.
        per_second: frames.

    Raises:
        InputError: the disk refuses.
    """
    import av  # an extra

    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with os_errors_as_input(path):
        try:
            with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as film:
                stream = film.add_stream("libx264", rate=per_second, options={"crf": "20"})
                stream.width, stream.height = width_height
                stream.pix_fmt = "yuv420p"
                for frame in frames:
                    film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                film.mux(stream.encode())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
