"""Films: read and written by PyAV where it is installed, GIF by Pillow; one frame at a time is in memory."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nst_jax.errors import InputError
from nst_jax.images.decode import pillow_limits
from nst_jax.system.atomic_write import PART, atomic_write, os_errors_as_input

Frame = UInt8[np.ndarray, "_h _w 3"]

# The files that are taken for films.
FILMS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif", ".mpg", ".mpeg", ".ts", ".wmv", ".ogv", ".3gp")
_TICKS = 90_000  # of the clock of a written film, in a second
_BT709, _LIMITED = 1, 1  # color matrix, primaries and transfer; range: their numbers in H.273 and FFmpeg
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions by their numbers in H.273
_HD = 720  # lines; films of so many have the matrix of BT.709 if they do not say, others that of BT.601


class Codec(NamedTuple):
    """A form of a written film.

    Attributes:
        suffix: of the file.
        encoder: of FFmpeg.
        pixels: its pixel format.
        options: of the encoder.
    """

    suffix: str
    encoder: str
    pixels: str
    options: dict[str, str]


# Name in the config -> form. Only that of ffv1 has every pixel as it was, and any size; the others have even sides.
CODECS = {
    "h264": Codec(".mp4", "libx264", "yuv420p", {"crf": "17"}),
    "prores": Codec(".mov", "prores_ks", "yuv422p10le", {"profile": "3"}),
    "ffv1": Codec(".mkv", "ffv1", "bgr0", {}),
}


class Film(NamedTuple):
    """The facts of a film.

    Attributes:
        path: of the file.
        times: of each frame, in seconds from the first.
        height_width: of a frame as it is shown: upright, with square pixels.
        start: the time of the first frame in the file, in seconds.
        notices: what must be said of it.
    """

    path: Path
    times: tuple[float, ...]
    height_width: tuple[int, int]
    start: float
    notices: tuple[str, ...]


def has_pyav() -> bool:
    """Whether PyAV is there: `pip install "nst-jax[video]"` brings it."""
    return find_spec("av") is not None


def _av() -> Any:
    if not has_pyav():
        raise InputError('films must have PyAV to read and write them, got none; install it: pip install "nst-jax[video]"')
    import av

    return av


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first stream of pictures. Raises an InputError if there is none."""
    av = _av()
    if not path.is_file():
        raise InputError(f"film {path} must be a file, got no such file; check the path")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"film {path} must be a film that FFmpeg reads, got {reason!r}; convert or copy it again") from error
    with container:
        if not container.streams.video:
            raise InputError(f"film {path} must have pictures, got sound alone; give another file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def probe_film(path: Path) -> Film:
    """The facts of a film, from its packets and its first frame.

    Raises:
        InputError: no PyAV, no such file, or no film.
    """
    notices: list[str] = []
    with _opened(path) as (container, stream):
        ticks = _ticks(container, stream, notices)
        start = min(ticks, default=0)
        times = tuple(float((tick - start) * stream.time_base) for tick in sorted(ticks))
        begin = float(start * stream.time_base)
    with _opened(path) as (container, stream):  # anew: what is demuxed is not decoded
        frame = next(_decoded(container, stream), None)
        if frame is None or not times:
            raise InputError(f"film {path} must have a frame that can be decoded, got none; copy or export it again")
        if (transfer := _HDR.get(int(getattr(frame, "color_trc", 0) or 0))) is not None:
            notices.append(f"HDR ({transfer}) is read as if it were standard: its colors come out pale; convert it before")
        return Film(path, times, _upright(frame, stream).shape[:2], begin, tuple(notices))


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream, up to where it is damaged."""
    with suppress(_av().FFmpegError):
        yield from container.decode(stream)


def _ticks(container: Any, stream: Any, notices: list[str]) -> list[int]:
    """The time of each frame, in units of the stream's time base."""
    av, packets = _av(), []
    try:
        packets = [packet.pts for packet in container.demux(stream) if packet.size]
    except av.FFmpegError as error:
        notices.append(f"damaged after {len(packets)} frames ({error.strerror})")
    if any(tick is None for tick in packets):
        step = 1 / (stream.average_rate or Fraction(25)) / stream.time_base
        return [round(number * step) for number in range(len(packets))]
    return packets


def decode_film(path: Path) -> Iterator[Frame]:
    """The frames of a film, upright and with square pixels, in the order of their times; a damaged film ends at the damage.

    YUV is converted by the matrix and the range that the film says, or else those of its size.

    Raises:
        InputError: no PyAV, no such file, no film, or frames of several sizes.
    """
    size = None
    with _opened(path) as (container, stream):
        for number, frame in enumerate(_decoded(container, stream)):
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise InputError(
                    f"film {path} must have frames of one size, got {frame.width}x{frame.height} at frame {number} after"
                    f" {size[0]}x{size[1]}; convert it to one size"
                )
            yield _upright(frame, stream)


def _upright(frame: Any, stream: Any) -> Frame:
    unsaid = int(frame.colorspace) == 2 and min(frame.height, frame.width) >= _HD
    width = max(1, round(frame.width * (stream.sample_aspect_ratio or 1)))
    found = frame.reformat(width=width, format="rgb24", src_colorspace=_BT709 if unsaid else None).to_ndarray()
    return np.ascontiguousarray(np.rot90(found, round(frame.rotation / 90) % 4))


def write_film(
    path: Path,
    frames: Iterable[Frame],
    times: Sequence[float],
    codec: str = "h264",
    *,
    sound: Film | None = None,
    offset: float = 0.0,
    record: str = "",
) -> list[str]:
    """Writes a film; nothing is seen under its name before it is whole.

    Args:
        path: of the file; its suffix says the container.
        frames: of one size; an odd side loses its last line, but for ffv1.
        times: of each frame in seconds, increasing from 0.
        codec: a key of `CODECS`.
        sound: the film whose sound it gets.
        offset: where in that the film begins, in seconds from its first frame.
        record: text that is kept inside, for `film_record`.

    Returns:
        Notices for the user.

    Raises:
        InputError: no PyAV, or the disk refuses.
    """
    av, form = _av(), CODECS[codec]
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    container_format = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}[path.suffix]
    options = {} if path.suffix == ".mkv" else {"movflags": "faststart+use_metadata_tags"}
    with os_errors_as_input(path):
        try:
            with av.open(str(part), "w", format=container_format, options=options) as film:
                film.metadata["comment"] = record
                stream = film.add_stream(form.encoder, rate=_rate(times), options=form.options)
                stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
                stream.pix_fmt = form.pixels
                with _Sound(film, sound, offset, times) as track:
                    for frame, time in zip(frames, times, strict=False):
                        picture = _picture(frame, form)
                        if not stream.codec_context.is_open:
                            stream.width, stream.height = picture.width, picture.height
                            if form.pixels.startswith("yuv"):
                                stream.codec_context.colorspace = stream.codec_context.color_primaries = _BT709
                                stream.codec_context.color_trc, stream.codec_context.color_range = _BT709, _LIMITED
                        picture.pts, picture.time_base = round(time * _TICKS), Fraction(1, _TICKS)
                        film.mux(stream.encode(picture))
                        track.write_until(time)
                    film.mux(stream.encode())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return track.notices


def _rate(times: Sequence[float]) -> Fraction:
    """Frames per second, on average."""
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(25)
    return Fraction((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)


def _picture(frame: Frame, form: Codec) -> Any:
    """The frame in the pixel format of a codec, by the matrix of BT.709 in limited range."""
    if not form.pixels.startswith("yuv"):
        return _av().VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=form.pixels)
    height, width = (side - side % 2 for side in frame.shape[:2])
    picture = _av().VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
    return picture.reformat(format=form.pixels, dst_colorspace=_BT709, dst_color_range=_LIMITED)


class _Sound:
    """The sound of a film, copied packet by packet beside the pictures of another.

    Attributes:
        notices: for the user.
    """

    def __init__(self, film: Any, source: Film | None, offset: float, times: Sequence[float]) -> None:
        self.notices: list[str] = []
        self._film, self._source, self._container, self._ended = film, source, None, True
        pause = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.04
        self._end = times[-1] + pause if times else 0.0
        self._begin = offset + (source.start if source else 0.0)

    def __enter__(self) -> "_Sound":
        av = _av()
        if self._source is None:
            return self
        try:
            self._container = av.open(str(self._source.path))
            if not self._container.streams.audio:
                return self
            self._stream = self._container.streams.audio[0]
            self._target = self._film.add_stream_from_template(self._stream)
        except (av.FFmpegError, ValueError) as error:
            self.notices.append(f"the sound is left out: it cannot be copied into this kind of film ({error})")
            return self
        self._packets, self._waiting, self._ended = self._container.demux(self._stream), None, False
        return self

    def __exit__(self, error: Any, *_: Any) -> None:
        if error is None:
            self.write_until(self._end)
        if self._container is not None:
            self._container.close()

    def write_until(self, time: float) -> None:
        """Writes the packets that begin before a time of the film, in seconds."""
        av = _av()
        while not self._ended:
            try:
                packet = self._waiting or next(self._packets, None)
            except av.FFmpegError:
                packet = None
            self._waiting = None
            if packet is None or packet.pts is None:
                self._ended = packet is None
                continue
            at = float(packet.pts * packet.time_base) - self._begin
            if at > min(time, self._end):
                self._waiting = packet
                self._ended = at > self._end
                return
            if at >= 0:
                shift = round(self._begin / packet.time_base)
                packet.pts -= shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                packet.stream = self._target
                self._film.mux(packet)


def film_record(path: Path) -> str:
    """The text that `write_film` put inside; empty if there is none, or the file is no film."""
    try:
        with _opened(path) as (container, _):
            return {key.lower(): text for key, text in container.metadata.items()}.get("comment", "")  # Matroska shouts
    except InputError:
        return ""


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
