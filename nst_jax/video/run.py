"""Films as a kind of run: preparing one, and making the film of its painted frames."""

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nst_jax import job
from nst_jax.errors import InputError
from nst_jax.images.files import Picture
from nst_jax.images.video import CODECS, Frame, read_frame, write_film
from nst_jax.networks.params import store
from nst_jax.runner.prepare import (
    Kind,
    Made,
    Prepared,
    begin_record,
    inputs_of,
    network_for,
    picture_sources,
    read_pictures,
    set_verbosity,
    size_notices,
    specify,
)
from nst_jax.runs.folder import RunFolder
from nst_jax.video.config import PREVIEW_FRAMES, VideoConfig
from nst_jax.video.flow import check_flow, flow_file
from nst_jax.video.frames import Clip, FrameFolder, digest_of, is_film, keyframes_in, open_clip, read_clip
from nst_jax.video.paint import Painter, PreparedFilm, shares_at, visits_of

_log = logging.getLogger(__name__)

_INITS = ("recolored", "content", "style", "noise", "adain")


def prepare(config: VideoConfig) -> PreparedFilm:
    """Checks the config of a film; reads its first frame, the styles and the network's parameters.

    Raises:
        InputError: anything the user can fix.
    """
    began = time.perf_counter()
    _check(config)
    spec = specify(config)
    set_verbosity(config)
    flow = replace(config.flow, path=config.flow.path and os.path.abspath(config.flow.path))
    check_flow(flow)
    most = PREVIEW_FRAMES if config.preview else None
    sources = picture_sources(config, spec)
    clips = {
        role: open_clip(Path(str(source.path)).absolute(), config.frames, config.fps, most)
        for role, source in sources.items()
        if role == "content" or (role.startswith("mask") and is_film(source.path))
    }
    pictures = {role: _first_frame(clip) for role, clip in clips.items()}
    pictures |= read_pictures({role: source for role, source in sources.items() if role not in clips})
    pictures = {role: pictures[role] for role in sources}
    inputs = inputs_of(config, pictures)
    job.check_pictures(inputs, spec)
    content = clips["content"]
    for role, clip in clips.items():
        if len(clip.numbers) != len(content.numbers):
            raise InputError(
                f"{role} must have as many frames as the content, {len(content.numbers)}, got {len(clip.numbers)} in"
                f" {clip.film.path}"
            )
    keyframes = keyframes_in(Path(config.keyframes).absolute(), len(content.numbers)) if config.keyframes else {}
    if len(keyframes) == len(content.numbers):
        raise InputError(f"keyframes must leave frames to paint, got all {len(keyframes)} of them in {config.keyframes}")
    for frame in sorted(config.blend_at or ()):
        shares_at(config, spec, frame)  # checks them
    network = network_for(config, spec)
    begun = begin_record(config, pictures, config.network.name, store.file_sha256(config.network.name))
    small = size_notices(inputs, spec)
    for notice in [*(f"{role}: {notice}" for role in clips for notice in pictures[role].notices), *small]:
        _log.info("%s", notice)  # those of other pictures are said as they are read
    begun["notices"] += small
    begun["inputs"] |= _further_inputs(config, len(content.numbers), keyframes)
    further = _further(config, spec, len(content.numbers), len(keyframes))
    seconds = time.perf_counter() - began
    return PreparedFilm(
        *(VIDEO, config, spec, pictures, inputs, network.params, begun, seconds, 1, further),
        clips=clips,
        keyframes=keyframes,
        flow=flow,
    )


def _check(config: VideoConfig) -> None:
    """Raises InputError for settings that a film does not have."""
    if config.content.path is None:
        raise InputError(f"content must be a film or a folder of frames, got {config.content.name!r}; write content.path=FILM")
    if config.init not in _INITS:
        raise InputError(f"init must be one of {', '.join(_INITS)} for a film, got {config.init!r}; or give keyframes=FOLDER")
    if config.run.snapshot_every or config.run.video:
        raise InputError("run.snapshot_every and run.video must be left out for a film; its frames are kept in frames/")
    if config.run.format != "png":
        raise InputError(f"run.format must be left out for a film, got {config.run.format!r}; choose its codec by codec=h264")
    if config.scale.hosts == "auto":
        raise InputError("scale.hosts must be off for a film, got 'auto'; give each process frames of its own, frames=0:100")
    if config.passes > 1 and config.keyframes:
        raise InputError(f"passes must be 1 with keyframes, got {config.passes}; leave one out")


def _first_frame(clip: Clip) -> Picture:
    for _, pixels in read_clip(clip):
        return Picture(pixels, clip.sha256, str(clip.film.path), clip.film.notices)
    raise InputError(f"film {clip.film.path} must have a frame that can be decoded, got none; copy or export it again")


def _further_inputs(config: VideoConfig, count: int, keyframes: dict[int, Path]) -> dict[str, dict[str, str]]:
    """What the record says of the keyframes and of the files of flow: where they are, and a sha256 of all that are used."""
    found: dict[str, dict[str, str]] = {}
    if keyframes:
        found["keyframes"] = {"source": str(config.keyframes), "sha256": digest_of(keyframes.values(), *keyframes)}
    if config.flow.path is not None:
        folder = Path(config.flow.path)
        pairs = [(visit.frame, near) for visit in visits_of(config, count, keyframes) for near in visit.near]
        files = [flow_file(folder, numbers) for one, other in pairs for numbers in ((one, other), (other, one))]
        found["flow"] = {"source": str(folder), "sha256": digest_of(files)}
    return found


def _further(config: VideoConfig, spec: job.JobSpec, frames: int, finished: int) -> tuple[job.Scale, ...]:
    """The steps of the frames after the first, if there is no cut."""
    size, steps = spec.scales[-1].size, config.temporal.steps
    if config.passes > 1:
        apart = tuple(job.Scale(scale.size, scale.steps * (frames - 1)) for scale in spec.scales) if frames > 1 else ()
        return (*apart, job.Scale(size, steps * frames * (config.passes - 1)))
    later = frames - max(1, finished)
    return (job.Scale(size, steps * later),) if later > 0 else ()


def _execute(
    prepared: Prepared, observe: job.Callback, chunk_at: Sequence[int], resume: job.JobState | None, folder: Path | None
) -> Made:
    assert isinstance(prepared, PreparedFilm)
    assert folder is not None
    painter = Painter(prepared, observe, chunk_at, folder)
    result = painter.run(resume)
    return Made(result, {"frames": painter.count})


def result_name(config: VideoConfig) -> str:
    """The name of the result: the film, or the folder of frames."""
    return f"result{CODECS[config.codec].suffix}" if config.codec in CODECS else "frames"


def _finish(prepared: Prepared, folder: RunFolder, record: str) -> list[str]:
    """Makes the film of the frames that there are, and one of the content beside it; what is decoded is removed."""
    assert isinstance(prepared, PreparedFilm)
    config, clip = prepared.config, prepared.clips["content"]
    painted = FrameFolder(folder.path / "frames")
    there = [number for number in range(len(clip.numbers)) if painted.file(number).exists()]
    notices: list[str] = []
    if there and config.codec in CODECS:
        times = [clip.times[number] - clip.times[there[0]] for number in there]
        offset = clip.offset + clip.times[there[0]]
        sound = None if clip.film.path.is_dir() else clip.film
        shown = _frames(painted, there)
        notices = write_film(
            folder.path / result_name(config), shown, times, config.codec, sound=sound, offset=offset, record=record
        )
        write_film(folder.path / "content.mp4", _frames(FrameFolder(folder.path / "decoded", "content"), there), times)
    elif not there:
        notices = ["no frame is finished yet, so that there is no film; resume the run"]
    if there:  # the content of the picture beside it
        last = FrameFolder(folder.path / "decoded", "content").read(folder.last_row().get("frame", there[-1]))
        folder.write_inputs({"content": last}, max(last.shape))
    for name in ("decoded", *(["passes"] if len(there) == len(clip.numbers) else [])):  # what an interrupted run goes on from
        shutil.rmtree(folder.path / name, ignore_errors=True)
    return notices


def _frames(folder: FrameFolder, numbers: Sequence[int]) -> Iterator[Frame]:
    height, width = folder.read(numbers[0]).shape[1:3]
    return (read_frame(folder.file(number), (width, height)) for number in numbers)


VIDEO = Kind(
    VideoConfig.kind, VideoConfig, prepare, lambda prepared, folder: None, _execute, lambda config: "off", result_name, _finish
)
