"""Films as a kind of run: each frame is a job that starts from the frames before it, and is kept near them."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nst_jax import job
from nst_jax.config.layer_weights import one_each, style_shares
from nst_jax.errors import InputError
from nst_jax.images.color import recolor
from nst_jax.images.files import Picture, fit_long_side, read_image, resize
from nst_jax.images.masks import as_mask
from nst_jax.images.video import CODECS, Frame, read_frame, write_film
from nst_jax.job.pyramid import initial_image
from nst_jax.networks.params import store
from nst_jax.objective.loss import LossWeights, ObjectiveSpec
from nst_jax.objective.temporal import Reference, combine, reliability, stillness, warp
from nst_jax.runner.prepare import (
    Kind,
    Made,
    Prepared,
    begin_record,
    inputs_of,
    network_of,
    picture_sources,
    preview,
    read_pictures,
    set_verbosity,
    size_notices,
    specify,
)
from nst_jax.runs.folder import RunFolder
from nst_jax.types import Pixels
from nst_jax.video.config import PREVIEW_FRAMES, VideoConfig
from nst_jax.video.flow import check_flow, optical_flow
from nst_jax.video.frames import Clip, FrameFolder, decode_clip, is_film, keyframes_in, open_clip, order_of, read_clip

_log = logging.getLogger(__name__)

_INITS = ("recolored", "content", "style", "noise", "adain")


@dataclass(frozen=True)
class PreparedFilm(Prepared):
    """A film that is checked, with its first frame as the content.

    Attributes:
        clips: the films by role: "content", and "mask", "mask2", ... of masks that move.
        keyframes: the finished frames.
    """

    clips: dict[str, Clip] = field(default_factory=dict)
    keyframes: dict[int, Path] = field(default_factory=dict)

    @property
    def later(self) -> job.JobSpec:
        """The job of a frame that follows another one: at the last scale alone, with the temporal term."""
        objective, weights = self.spec.objective, self.spec.loss_weights
        assert isinstance(objective, ObjectiveSpec)
        assert isinstance(weights, LossWeights)
        return replace(
            self.spec,
            objective=replace(objective, temporal=True),
            loss_weights=weights._replace(temporal=self.config.temporal.weight),
            scales=(job.Scale(self.spec.scales[-1].size, self.config.temporal.steps),),
            plans=self.spec.plans[-1:],
            init="file",
        )

    def state_shapes(self, stage: int) -> Any:
        """See `Prepared.state_shapes`; a stage as `_Painter` numbers them."""
        scale = stage % (len(self.spec.scales) + 1)
        if scale < len(self.spec.scales):
            return super().state_shapes(scale)
        return job.state_shapes(job.make_stages(self.inputs, self.later)[0], self.later)


def prepare(config: VideoConfig) -> PreparedFilm:
    """Checks the config of a film; reads its first frame, the styles and the network's parameters.

    Raises:
        InputError: anything the user can fix.
    """
    began = time.perf_counter()
    _check(config)
    spec = specify(config)
    set_verbosity(config)
    check_flow(config.flow)
    most = PREVIEW_FRAMES if config.preview else None
    sources = picture_sources(config, spec)
    clips = {
        role: open_clip(Path(str(source.path)), config.frames, config.fps, most)
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
    keyframes = keyframes_in(Path(config.keyframes), len(content.numbers)) if config.keyframes else {}
    if len(keyframes) == len(content.numbers):
        raise InputError(f"keyframes must leave frames to paint, got all {len(keyframes)} of them in {config.keyframes}")
    for frame in sorted(config.blend_at or ()):
        _shares(config, spec, frame)  # checks them
    network = network_of(config.network.name, spec.objective.network.convolution, spec.objective.taps)
    begun = begin_record(config, pictures, config.network.name, store.file_sha256(config.network.name))
    small = size_notices(inputs, spec)
    for notice in [*(f"{role}: {notice}" for role in clips for notice in pictures[role].notices), *small]:
        _log.info("%s", notice)  # those of other pictures are said as they are read
    begun["notices"] += small
    further = _further(config, spec, len(content.numbers), len(keyframes))
    seconds = time.perf_counter() - began
    return PreparedFilm(
        VIDEO, config, spec, pictures, inputs, network.params, begun, seconds, 1, further, clips=clips, keyframes=keyframes
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


def _further(config: VideoConfig, spec: job.JobSpec, frames: int, finished: int) -> tuple[job.Scale, ...]:
    """The steps of the frames after the first, if there is no cut."""
    size, steps = spec.scales[-1].size, config.temporal.steps
    if config.passes > 1:
        apart = tuple(job.Scale(scale.size, scale.steps * (frames - 1)) for scale in spec.scales) if frames > 1 else ()
        return (*apart, job.Scale(size, steps * frames * (config.passes - 1)))
    later = frames - max(1, finished)
    return (job.Scale(size, steps * later),) if later > 0 else ()


def _shares(config: VideoConfig, spec: job.JobSpec, frame: int) -> dict[str, Any]:
    """The share of each style at a frame, linear between those of `blend_at`."""
    if not config.blend_at:
        return spec.style_shares
    count, known = len(config.style.pictures), sorted(config.blend_at)
    rows = [one_each("blend_at", config.blend_at[number], count, "style") for number in known]
    row = [float(np.interp(frame, known, column)) for column in np.transpose(rows)]
    regions = len(config.mask.regions or [None])
    return style_shares([row] * regions, config.style.layers, config.loss.style_layers, count, regions)


class _Visit(NamedTuple):
    """The painting of a frame.

    Attributes:
        place: in the order of all.
        number: of the pass, from 1.
        frame: its number.
        side: where its painted neighbors are: -1 before it, 1 after it.
    """

    place: int
    number: int
    frame: int
    side: int


class _Frame(NamedTuple):
    """The job of a frame.

    Attributes:
        spec: of the job.
        inputs: its pictures.
        stage: the number of its first stage, among those of all frames.
        held: the frame before, where that stays as it is; None if nothing does.
        still: where, 1 or 0.
    """

    spec: job.JobSpec
    inputs: job.Inputs
    stage: int
    held: Pixels | None = None
    still: Any = 0.0

    def finished(self, pixels: Pixels) -> Pixels:
        """The painted frame, where it is not held."""
        return pixels if self.held is None else np.where(self.still > 0, self.held, pixels)


class _Painter:
    """Paints a film; each frame is a job.

    The stages of a `JobState` are numbered over all frames: S + 1 for each, of which the last one is that of a frame that
    follows another, and the others are the S scales of one that begins a scene.

    Attributes:
        rows: the metrics so far.
        seconds: so far.
        recoveries: the messages so far about steps that were undone.
    """

    def __init__(self, prepared: PreparedFilm, observe: job.Callback, chunk_at: Sequence[int], folder: Path) -> None:
        self._prepared, self._observe, self._chunk_at, self._folder = prepared, observe, chunk_at, folder
        self._config: VideoConfig = prepared.config
        height, width = prepared.inputs.content.shape[1:3]
        self._size = fit_long_side(height, width, prepared.spec.scales[-1].size)
        decoded = folder / "decoded"
        decoded.mkdir(exist_ok=True)
        self.count = min(decode_clip(clip, role, decoded, self._size) for role, clip in prepared.clips.items())
        self._decoded = {role: FrameFolder(decoded, role) for role in prepared.clips}
        self.rows: list[dict[str, Any]] = []
        self.seconds, self.recoveries = {"compile": 0.0, "steps": 0.0, "total": 0.0}, []
        self.messages: list[str] = []
        if self.count < (asked := len(prepared.clips["content"].numbers)):
            self.messages.append(f"the film is damaged: {self.count} of {asked} frames can be decoded, and are painted")
        for frame, file in prepared.keyframes.items():
            if frame < self.count:
                self.painted(self._config.passes).write(frame, resize(read_image(file).pixels, self._size))

    def painted(self, number: int) -> FrameFolder:
        """Where the frames of a pass are: those of the last one in frames/."""
        if number == self._config.passes:
            return FrameFolder(self._folder / "frames")
        return FrameFolder(self._folder / "passes", f"pass{number}")

    def visits(self) -> list[_Visit]:
        """All frames of all passes, in order."""
        keyframes = [frame for frame in self._prepared.keyframes if frame < self.count]
        found = [(number, *each) for number in range(1, self._config.passes + 1)
                 for each in order_of(self.count, keyframes, number)]  # fmt: skip
        return [_Visit(place, *each) for place, each in enumerate(found)]

    def run(self, resume: job.JobState | None) -> job.Result:
        """Paints from the beginning, or from a position."""
        visits, scales = self.visits(), len(self._prepared.spec.scales)
        began = time.perf_counter() - (resume.seconds["total"] if resume else 0.0)
        first, stage = divmod(resume.stage, scales + 1) if resume else (0, 0)
        if resume:
            self.seconds |= resume.seconds
            self.recoveries = list(resume.recoveries)
        step, pixels, stopped = 0 if resume is None else resume.step, None, False
        for visit in visits[first:]:
            frame = self._frame(visit)
            own = None
            if resume:
                own, resume = resume._replace(stage=0 if stage == scales else stage), None
            offset = 0 if own else step
            result = job.transfer(
                self._prepared.params,
                frame.inputs,
                frame.spec,
                observe=self._observer(visit, offset, frame.stage, visit is visits[-1], began, continued=own is not None),
                chunk_at=[at - offset for at in self._chunk_at if at > offset],
                resume=own,
            )
            step = offset + result.rows[-1]["step"] if result.rows else step
            self.seconds["compile"] += result.seconds["compile"]
            self.seconds["steps"] = (0.0 if own else self.seconds["steps"]) + result.seconds["steps"]
            self.recoveries += result.recoveries[len(own.recoveries) if own else 0 :]
            pixels, stopped = frame.finished(result.pixels), result.stopped
            if stopped:
                break
            self.painted(visit.number).write(visit.frame, pixels)
        self.seconds["total"] = time.perf_counter() - began
        assert pixels is not None, "a frame is left to paint"
        return job.Result(pixels, self.rows, self.seconds, self.recoveries, stopped)

    def _observer(self, visit: _Visit, offset: int, stage: int, last: bool, began: float, *, continued: bool) -> job.Callback:
        """The callback of a frame's job, which reports it as a part of the whole."""
        before = {"steps": 0.0, "total": 0.0} if continued else dict(self.seconds)
        known = () if continued else tuple(self.recoveries)

        def observed(info: job.StepInfo) -> bool:
            rows = [
                row | {"step": row["step"] + offset, "frame": visit.frame, "seconds": round(time.perf_counter() - began, 3)}
                for row in info.rows
            ]
            self.rows += rows
            messages, self.messages = [*self.messages, *(f"frame {visit.frame}: {text}" for text in info.messages)], []

            def position() -> job.JobState:
                own = info.position()
                seconds = {"steps": before["steps"] + own.seconds["steps"], "total": time.perf_counter() - began}
                return own._replace(
                    stage=stage + own.stage, step=own.step + offset, seconds=seconds, recoveries=known + own.recoveries
                )

            return self._observe(job.StepInfo(info.step + offset, rows, messages, info.pixels, info.last and last, position))

        return observed

    def _frame(self, visit: _Visit) -> _Frame:
        """The job of a frame."""
        prepared, scales = self._prepared, len(self._prepared.spec.scales)
        inputs, stage = self._inputs(visit.frame), visit.place * (scales + 1)
        shares = _shares(self._config, prepared.spec, visit.frame)
        spec, passes = replace(prepared.spec, style_shares=shares), self._config.passes
        seen = list(self._seen_before(visit)) if passes == 1 or visit.number > 1 else []
        if not seen and visit.number == 1:
            return _Frame(spec, self._with_preview(inputs), stage)
        reference = combine(one for one, _, _ in seen) if seen else None
        start = self._start(visit, spec, inputs, reference)
        if reference is None or (passes > 1 and 2 * visit.number <= passes):
            reference = Reference(np.zeros_like(start), np.zeros_like(start[..., :1]))  # pyright: ignore[reportArgumentType]
        later = replace(prepared.later, style_shares=shares)
        held = seen[0][1:] if seen else (None, 0.0)
        return _Frame(later, inputs._replace(init=start, reference=reference), stage + scales, *held)

    def _inputs(self, frame: int) -> job.Inputs:
        """The pictures of the job of a frame."""
        masks = list(self._prepared.inputs.masks)
        for role, folder in self._decoded.items():
            if role != "content":
                masks[int(role.removeprefix("mask") or 1) - 1] = as_mask(folder.read(frame))
        return self._prepared.inputs._replace(content=self._decoded["content"].read(frame), masks=tuple(masks))

    def _seen_before(self, visit: _Visit) -> Iterator[tuple[Reference, Pixels, Any]]:
        """The painted frames as this one sees them, the nearest first, with where they are still; none at a cut.

        A keyframe on the other side counts as well.
        """
        offsets = {visit.side * offset for offset in self._config.temporal.offsets}
        ahead = [frame - visit.frame for frame in self._prepared.keyframes if (frame - visit.frame) * visit.side < 0]
        if visit.number == 1 and ahead:
            offsets.add(min(ahead, key=abs))
        content, painted, ways = self._decoded["content"], self.painted(visit.number), self._config.flow
        frame = content.read(visit.frame)
        for offset in sorted(offsets, key=abs):
            number = visit.frame + offset
            if not 0 <= number < self.count or not painted.file(number).exists():
                continue
            other = content.read(number)
            flow = jnp.asarray(optical_flow(frame, other, (visit.frame, number), ways))
            weight = reliability(flow, jnp.asarray(optical_flow(other, frame, (number, visit.frame), ways)))
            if float(np.mean(np.asarray(weight))) >= self._config.temporal.cut:
                before = painted.read(number)
                still = np.asarray(stillness(flow, jnp.asarray(frame), jnp.asarray(other)))
                yield Reference(warp(jnp.asarray(self._toned(before)), flow), weight), before, still
            elif abs(offset) == 1:
                return

    def _start(self, visit: _Visit, spec: job.JobSpec, inputs: job.Inputs, reference: Reference | None) -> Pixels:
        """The first image of a frame that follows others.

        It is the painted frames where they are seen, and what uncovers is the content in the colors of the style. In a further
        pass, the mean with the frame of the pass before (Ruder et al., sec. 5.2).
        """
        if visit.number > 1:
            own = self._toned(self.painted(visit.number - 1).read(visit.frame))
            if reference is None:
                return own
            weight = np.asarray(reference.weight)
            return (own + weight * np.asarray(reference.pixels)) / (1 + weight)
        assert reference is not None
        init = "recolored" if spec.init == "adain" else spec.init
        spec = replace(spec, scales=spec.scales[-1:], init=init)
        (stage,) = job.make_stages(inputs, spec)
        weight = np.asarray(reference.weight)
        return weight * np.asarray(reference.pixels) + (1 - weight) * initial_image(stage, spec, None)

    def _with_preview(self, inputs: job.Inputs) -> job.Inputs:
        """The pictures of the first frame of a scene, which starts from its own preview if `init` is "adain"."""
        spec = self._prepared.spec
        if spec.init != "adain":
            return inputs
        return inputs._replace(init=preview(inputs.content, inputs.styles[0], size=spec.scales[-1].size, color=spec.color))

    def _toned(self, pixels: Pixels) -> Pixels:
        """A painted frame in the colors that a job works in."""
        spec = self._prepared.spec
        return recolor(pixels, self._prepared.inputs.styles[0], spec.color)[0] if spec.color == "luminance" else pixels


def _execute(
    prepared: Prepared, observe: job.Callback, chunk_at: Sequence[int], resume: job.JobState | None, folder: Path | None
) -> Made:
    assert isinstance(prepared, PreparedFilm)
    assert folder is not None
    painter = _Painter(prepared, observe, chunk_at, folder)
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
