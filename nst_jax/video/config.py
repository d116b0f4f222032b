"""The settings of a film: those of a transfer, and how its frames are chosen and kept consistent."""

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictFloat, StrictStr
from pydantic.dataclasses import dataclass

from nst_jax.config.compose import register
from nst_jax.config.schema import STRICT, Config, Count, Factor, FileOrNone, PictureConfig, Positive, Weight, rule

PREVIEW_FRAMES = 10


@dataclass(frozen=True, config=STRICT)
class FlowConfig:
    """Optical flow between frames.

    Attributes:
        method: of OpenCV: dis is quick, deepflow and tvl1 are slow and more precise.
        path: a folder with flow of your own, see `nst_jax.video.flow.read_flow`; takes precedence.
    """

    method: Literal["dis", "deepflow", "tvl1"] = "dis"
    path: FileOrNone = None


@dataclass(frozen=True, config=STRICT)
class TemporalConfig:
    """Consistency from frame to frame.

    Attributes:
        weight: of the temporal term.
        offsets: which frames before a frame it is kept near, the nearest first.
        steps: of every frame but the first of a scene.
        cut: a frame of which less than this share is reliable begins a new scene.
    """

    weight: Weight = 30.0
    offsets: Annotated[
        Annotated[list[Positive], Field(min_length=1)], rule("a list of whole numbers, at least 1, such as [1,2,4]")
    ] = field(default_factory=lambda: [1, 2, 4])
    steps: Positive = 30
    cut: Annotated[StrictFloat, rule("a number between 0 and 1", ge=0, le=1)] = 0.25


@dataclass(frozen=True, config=STRICT)
class VideoConfig(Config):
    """Every setting of a film. `content.path` is the film, or a folder of frames; those of a transfer hold for each frame.

    Attributes:
        frames: which frames, start:stop:step.
        fps: frames per second of the result; null: those of the film, 25 for a folder.
        codec: of the result: h264 (result.mp4), prores (result.mov), ffv1 (result.mkv), or png for the frames alone.
        passes: over the film, forward and backward in turn; above 1 for strong motion of the camera.
        keyframes: a folder of finished frames, named by their number.
        blend_at: frame -> the share of each style there, linear in between.
        flow: optical flow.
        temporal: consistency.
    """

    kind: ClassVar[str] = "video"
    content: PictureConfig = field(default_factory=lambda: PictureConfig("film"))
    frames: Annotated[StrictStr, rule("start:stop:step, such as 0:100 or ::2")] = ":"
    fps: Factor | None = None
    codec: Literal["h264", "prores", "ffv1", "png"] = "h264"
    passes: Positive = 1
    keyframes: FileOrNone = None
    blend_at: Annotated[
        dict[Count, list[Weight]] | None, rule("null, or a mapping of frames to shares, such as {0:[1,0],48:[0,1]}")
    ] = None
    flow: FlowConfig = field(default_factory=FlowConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)


register("video_schema", VideoConfig)
