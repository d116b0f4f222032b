"""The progress video of a run, made of its snapshots."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from nst_jax.images.files import picture_size
from nst_jax.images.video import Frame, has_pyav, read_frame, write_film, write_gif
from nst_jax.runs.folder import RunFolder

FRAMES = 60
PER_SECOND = 12
HOLD = 18  # how often the last frame is repeated
GIF_SIDE = 400  # pixels; a larger GIF would take many megabytes


def frame_steps(steps: Sequence[int]) -> list[int]:
    """The steps of the frames: `FRAMES` in all, equally many per scale, and denser towards the beginning of a scale.

    Args:
        steps: the number of steps of each scale.

    Example:
        >>> frame_steps([4, 1]), len(frame_steps([240, 120, 60])), frame_steps([900])[:8]
        ([1, 2, 3, 4, 5], 60, [1, 2, 3, 4, 5, 7, 10, 13])
    """
    share = max(2, FRAMES // len(steps))
    begins = accumulate(steps, initial=0)
    chosen = [
        begin + max(i, 1 + (count - 1) * (i - 1) ** 2 // (share - 1) ** 2)
        for begin, count in zip(begins, steps, strict=False)
        for i in range(1, share + 1)
        if i <= count
    ]
    return sorted({*chosen})


def write_video(folder: RunFolder) -> list[str]:
    """Writes making_of.gif and, if its encoder is installed, making_of.mp4 from the snapshots and the result.

    Returns:
        Notices for the user.
    """
    files = [*folder.snapshots.values(), folder.result]
    size = picture_size(folder.result, GIF_SIDE)
    pause = 1000 // PER_SECOND // 10 * 10  # a GIF counts in hundredths of a second
    write_gif(folder.path / "making_of.gif", _frames(files, size), [pause] * (len(files) - 1) + [pause * HOLD])
    if not has_pyav():
        return ['wrote making_of.gif; for making_of.mp4 as well: pip install "nst-jax[video]"']
    shown = [*files, *files[-1:] * HOLD]
    times = [number / PER_SECOND for number in range(len(shown))]
    write_film(folder.path / "making_of.mp4", _frames(shown, picture_size(folder.result)), times)
    return []


def _frames(files: Sequence[Path], width_height: tuple[int, int]) -> Iterator[Frame]:
    return (read_frame(file, width_height) for file in files)
