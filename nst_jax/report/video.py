"""The making-of: the snapshots of a run as a film."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from nst_jax.images.thumbnail import picture_size
from nst_jax.images.video import Frame, can_write_mp4, read_frame, write_gif, write_mp4
from nst_jax.runs.folder import RunFolder

FRAMES = 60
PER_SECOND = 12
HOLD = 18  # times that the last frame is shown
GIF_SIDE = 400  # at most: a GIF of more would be many megabytes


def frame_steps(steps: Sequence[int]) -> list[int]:
    """The steps whose pictures become frames: `FRAMES` in equal shares over the scales, in each the denser the earlier.

    Args:
        steps: of each scale.

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
    """Writes making_of.gif, and making_of.mp4 where its encoder is installed, of the snapshots and the result.

    Returns:
        What the user should know.
    """
    files = [*folder.snapshots.values(), folder.result]
    size = picture_size(folder.result, GIF_SIDE)
    pause = 1000 // PER_SECOND // 10 * 10  # a GIF counts in hundredths
    write_gif(folder.path / "making_of.gif", _frames(files, size), [pause] * (len(files) - 1) + [pause * HOLD])
    if not can_write_mp4():
        return ['making_of.gif is there; for making_of.mp4 too, pip install "nst-jax[video]"']
    width, height = picture_size(folder.result)
    even = (width - width % 2, height - height % 2)  # as H.264 wants it
    write_mp4(folder.path / "making_of.mp4", _frames([*files, *files[-1:] * HOLD], even), even, PER_SECOND)
    return []


def _frames(files: Sequence[Path], width_height: tuple[int, int]) -> Iterator[Frame]:
    return (read_frame(file, width_height) for file in files)
