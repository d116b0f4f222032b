"""The painting of a film: each frame is a job that starts from the frames before it, and is kept near them."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nst_jax import job
from nst_jax.config.layer_weights import one_each, style_shares
from nst_jax.images.color import recolor
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.images.masks import as_mask
from nst_jax.job.pyramid import initial_image
from nst_jax.objective.loss import LossWeights, ObjectiveSpec
from nst_jax.objective.temporal import Reference, combine, reliability, stillness, warp
from nst_jax.runner.prepare import Prepared, preview
from nst_jax.types import Pixels
from nst_jax.video.config import FlowConfig, VideoConfig
from nst_jax.video.flow import optical_flow
from nst_jax.video.frames import Clip, FrameFolder, decode_clip, order_of


@dataclass(frozen=True)
class PreparedFilm(Prepared):
    """A film that is checked, with its first frame as the content.

    Attributes:
        clips: the films by role: "content", and "mask", "mask2", ... of masks that move.
        keyframes: the finished frames.
        flow: optical flow. All paths are whole: a film is read again later, and perhaps from another working folder.
    """

    clips: dict[str, Clip] = field(default_factory=dict)
    keyframes: dict[int, Path] = field(default_factory=dict)
    flow: FlowConfig = field(default_factory=FlowConfig)

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
        """See `Prepared.state_shapes`; a stage as `Painter` numbers them."""
        scale = stage % (len(self.spec.scales) + 1)
        if scale < len(self.spec.scales):
            return super().state_shapes(scale)
        return job.state_shapes(job.make_stages(self.inputs, self.later)[0], self.later)


def shares_at(config: VideoConfig, spec: job.JobSpec, frame: int) -> dict[str, Any]:
    """The share of each style at a frame, linear between those of `blend_at`."""
    if not config.blend_at:
        return spec.style_shares
    count, known = len(config.style.pictures), sorted(config.blend_at)
    rows = [one_each("blend_at", config.blend_at[number], count, "style") for number in known]
    row = [float(np.interp(frame, known, column)) for column in np.transpose(rows)]
    regions = len(config.mask.regions or [None])
    return style_shares([row] * regions, config.style.layers, config.loss.style_layers, count, regions)


class Visit(NamedTuple):
    """The painting of a frame.

    Attributes:
        place: in the order of all.
        number: of the pass, from 1.
        frame: its number.
        near: the painted frames that it is kept near, the nearest first, up to a cut.
    """

    place: int
    number: int
    frame: int
    near: tuple[int, ...]


def visits_of(config: VideoConfig, count: int, keyframes: Iterable[int]) -> list[Visit]:
    """All frames of all passes, in order. A frame is kept near those before it, and near the next keyframe."""
    known = [frame for frame in keyframes if frame < count]
    found: list[Visit] = []
    for number in range(1, config.passes + 1):
        painted = {*known}
        for frame, side in order_of(count, known, number):
            offsets = {side * offset for offset in config.temporal.offsets}
            if ahead := [key - frame for key in known if (key - frame) * side < 0]:
                offsets.add(min(ahead, key=abs))
            near = [frame + offset for offset in sorted(offsets, key=abs) if frame + offset in painted]
            alone = number == 1 < config.passes  # the first of several passes: each frame by itself
            found.append(Visit(len(found), number, frame, () if alone else tuple(near)))
            painted.add(frame)
    return found


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


class Painter:
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

    def run(self, resume: job.JobState | None) -> job.Result:
        """Paints from the beginning, or from a position."""
        visits = visits_of(self._config, self.count, self._prepared.keyframes)
        scales = len(self._prepared.spec.scales)
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

    def _observer(self, visit: Visit, offset: int, stage: int, last: bool, began: float, *, continued: bool) -> job.Callback:
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

    def _frame(self, visit: Visit) -> _Frame:
        """The job of a frame."""
        prepared, scales = self._prepared, len(self._prepared.spec.scales)
        inputs, stage = self._inputs(visit.frame), visit.place * (scales + 1)
        shares = shares_at(self._config, prepared.spec, visit.frame)
        spec, passes = replace(prepared.spec, style_shares=shares), self._config.passes
        seen = list(self._seen_before(visit))
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

    def _seen_before(self, visit: Visit) -> Iterator[tuple[Reference, Pixels, Any]]:
        """The painted frames as this one sees them, the nearest first, with where they are still; none at a cut."""
        content, painted, ways = self._decoded["content"], self.painted(visit.number), self._prepared.flow
        frame = content.read(visit.frame)
        for number in visit.near:
            other = content.read(number)
            flow = jnp.asarray(optical_flow(frame, other, (visit.frame, number), ways))
            weight = reliability(flow, jnp.asarray(optical_flow(other, frame, (number, visit.frame), ways)))
            if float(np.mean(np.asarray(weight))) >= self._config.temporal.cut:
                before = painted.read(number)
                still = np.asarray(stillness(flow, jnp.asarray(frame), jnp.asarray(other)))
                yield Reference(warp(jnp.asarray(self._toned(before)), flow), weight), before, still
            elif abs(number - visit.frame) == 1:
                return

    def _start(self, visit: Visit, spec: job.JobSpec, inputs: job.Inputs, reference: Reference | None) -> Pixels:
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
