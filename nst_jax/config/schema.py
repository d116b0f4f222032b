"""The settings of a transfer: types, ranges, defaults and meanings.

Nothing here imports JAX, so that `--help` is quick. Names of layers, distances and the like are checked where their tables are,
in `nst_jax.config.to_spec`, which also checks the settings against each other.
"""

import os
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def rule(text: str, **bounds: Any) -> Any:
    """The rule of a value, in the words of the error message; for types that one bound does not describe."""
    return Field(description=text, **bounds)


def _file(path: str) -> str:
    """A path with `~` expanded."""
    if not path or "\0" in path or "://" in path:
        raise ValueError
    return os.path.expanduser(path)


Positive = Annotated[StrictInt, Field(ge=1)]
Count = Annotated[StrictInt, Field(ge=0)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**63)]
Side = Annotated[StrictInt, Field(ge=16, le=100_000)]  # pixels; 16 is `nst_jax.images.files.MIN_SIDE`
Weight = Annotated[StrictFloat, Field(ge=0)]
Factor = Annotated[StrictFloat, Field(gt=0)]
File = Annotated[StrictStr, AfterValidator(_file)]
FileOrNone = Annotated[File | None, rule("a file on this machine (not a URL), or null")]
Layers = Annotated[list[StrictStr], rule("a list such as [relu1_1,relu2_1]")]
LayerWeights = Annotated[
    StrictStr | list[Weight] | None,
    rule("null, middle, deep, halving, equal, 1/C2, a ratio such as 4:2:1, or a list of weights such as [1,0.5]"),
]


def _names(given: Any) -> Any:
    """One name or a list. The files of the group `style` hold `name: {starry: null}`: Hydra merges mappings, not lists."""
    return given if not isinstance(given, Mapping) else next(iter(given)) if len(given) == 1 else list(given)


def _regions(given: Any) -> Any:
    """A list of masks. One file alone is a region and the rest; "rest" in any case."""
    regions = [given, "rest"] if isinstance(given, str) else given
    if not isinstance(regions, list | tuple):
        return regions
    return [mask.lower() if isinstance(mask, str) and mask.lower() == "rest" else mask for mask in regions]


def _off(given: Any) -> Any:
    return "off" if given is False else given  # as YAML reads off


@dataclass(frozen=True, config=STRICT)
class PictureConfig:
    """An image: by name (see `nst_jax.images.named`), or by path, which takes precedence."""

    name: StrictStr
    path: FileOrNone = None


@dataclass(frozen=True, config=STRICT)
class StyleConfig:
    """The style: one image or several, by name or by path, and how they are mixed.

    Attributes:
        name: a name, or a list of names.
        path: a file, or a list of files; takes precedence.
        scale: the longer side of the style image relative to the content: larger gives coarser motifs. One, or one per style.
        blend: the share of each style, 1 in total, or one such list per region; null: equal shares or, with as many regions as
            styles, one style per region.
        layers: for each style the layers it applies to, such as fine ones for one style and coarse ones for another; null: all.
        turned: whether its quarter turns count as it does, so that strokes may run any way.
    """

    name: Annotated[
        StrictStr | Annotated[list[StrictStr], Field(min_length=1)], BeforeValidator(_names), rule("a name or a list of names")
    ] = "starry"
    path: Annotated[
        File | Annotated[list[File], Field(min_length=1)] | None,
        rule("a file, or a list such as [a.jpg,b.jpg]"),
    ] = None
    scale: Annotated[Factor | list[Factor], rule("a number above 0, or a list with one number per style")] = 1.0
    blend: Annotated[
        list[Weight] | list[list[Weight]] | None,
        rule("null, a list of shares such as [0.7,0.3], or one such list per region, each at least 0"),
    ] = None
    layers: Annotated[
        list[list[StrictStr]] | None, rule("null, or a list of layers per style, such as [[relu4_1],[relu1_1,relu2_1]]")
    ] = None
    turned: StrictBool = False

    @property
    def pictures(self) -> list[PictureConfig]:
        """The style images, one by one."""
        if self.path is not None:
            return [PictureConfig("style", path) for path in _listed(self.path)]
        return [PictureConfig(name) for name in _listed(self.name)]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, config=STRICT)
class MaskConfig:
    """Regions of the content image, each with a style (see `StyleConfig.blend`).

    Attributes:
        regions: one mask per region, white inside, gray at soft edges; "rest" is what the others leave; null: no regions.
        weights: a factor on the style term of each region, beside its area; null: 1 each.
        styles: one mask per style, of the part of it that counts, or null for all of it.
    """

    regions: Annotated[
        Annotated[list[File], Field(min_length=1)] | None,
        BeforeValidator(_regions),
        rule("null, a file, or a list such as [sky.png,rest]"),
    ] = None
    weights: Annotated[list[Weight] | None, rule("a list of numbers, at least 0, such as [1,0.5], or null")] = None
    styles: Annotated[list[File | None] | None, rule("a list such as [sky.png,null], or null")] = None


@dataclass(frozen=True, config=STRICT)
class NetworkConfig:
    """The network: see `nst_jax.networks.NetworkSpec`. The papers pad with zeros everywhere, which darkens borders."""

    name: StrictStr = "vgg19"
    pooling: Literal["max", "average"] = "max"
    pooling_scale: Factor = 1.0
    padding: StrictStr = "replicate"
    padding_at: Literal["all", "first"] = "first"
    convolution: Literal["auto", "winograd", "xla"] = "auto"
    precision: StrictStr = "float32"
    remat: StrictStr = "auto"


@dataclass(frozen=True, config=STRICT)
class LossConfig:
    """The loss: layers, α (content_weight), β (style_weight), layer weights w_l (see `nst_jax.config.layer_weights`)."""

    convention: StrictStr = "mean"
    tv: StrictStr = "l2"
    content_layers: Layers = field(default_factory=lambda: ["relu2_2", "relu3_2", "relu4_2"])
    style_layers: Layers = field(default_factory=lambda: [f"relu{i}_1" for i in range(1, 6)])
    style_distance: StrictStr = "wasserstein"
    epsilon: Factor = 1e-4
    content_weight: Weight = 0.125
    style_weight: Weight = 1.0
    tv_weight: Weight = 20.0
    color_weight: Weight = 20.0
    content_layer_weights: LayerWeights = "deep"
    style_layer_weights: LayerWeights = "middle"


@dataclass(frozen=True, config=STRICT)
class OptimizerConfig:
    """The optimizer.

    Attributes:
        name: adam, lbfgs, momentum, or `optax.NAME`, a factory of optax.
        learning_rate: of all but lbfgs.
        memory: number of pairs that lbfgs keeps.
        dct_floor: of lbfgs, whose first guess of the curvature grows with the frequency, but for waves longer than about
            2π/√dct_floor pixels; 0: it is the same for all.
        averaging: decay rate of the exponential average of the images that the result is; 0 is the last one alone.
        options: further arguments of the factory; on the command line `optimizer.weight_decay=0.1`.
    """

    name: StrictStr = "lbfgs"
    learning_rate: Factor = 0.02
    memory: Positive = 10
    dct_floor: Weight = 0.05
    averaging: Annotated[StrictFloat, Field(ge=0, lt=1)] = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _collect_options(cls, given: Any) -> Any:
        """Arguments of an optax factory are written beside the other settings."""
        if not isinstance(given, Mapping) or not str(given.get("name")).startswith("optax."):
            return given
        known = {item.name for item in fields(OptimizerConfig)}
        options = {key: value for key, value in given.items() if key not in known}
        kept = {key: value for key, value in given.items() if key in known}
        return {**kept, "options": {**kept.get("options", {}), **options}}


@dataclass(frozen=True, config=STRICT)
class ScaleConfig:
    """Settings for large images, at the same loss.

    Attributes:
        tile: the longest side in pixels of what the network sees at a time; "auto" is "off" where the whole fits into memory.
        devices: how many share the work, the first ones there are; "auto" is all that an image of its size keeps busy.
        hosts: "auto" joins the processes that `srun` or the variables of torchrun have started: see `nst_jax.runner.worker`.
    """

    tile: Annotated[
        Literal["auto", "off"] | Annotated[StrictInt, Field(ge=64)],
        BeforeValidator(_off),
        rule("auto, off, or a number of pixels, at least 64"),
    ] = "auto"
    devices: Annotated[Literal["auto"] | Positive, rule("auto, or a number of devices, at least 1")] = "auto"
    hosts: Annotated[Literal["auto", "off"], BeforeValidator(_off)] = "off"


@dataclass(frozen=True, config=STRICT)
class RunConfig:
    """The record: its folder (named after the time if null), steps between rows and snapshots, a video, quiet or not.

    `repeatable` leaves out what computes in another order each time, on GPUs; processors have nothing of the kind. `profile`
    traces some steps of the finest scale and writes a table of milliseconds by layer.

    The result is also written to the file `output`, or into that folder if it is one or ends with a slash; `format` is that of
    the result in such a folder, and of a further one beside result.png. Checkpoints are written every `checkpoint_every_s`
    seconds and when the run is interrupted; 0: only then.
    """

    dir: FileOrNone = None
    output: FileOrNone = None
    format: Literal["png", "jpeg", "webp", "avif", "tiff"] = "png"
    log_every: Positive = 1
    snapshot_every: Count = 0
    video: StrictBool = False
    checkpoint_every_s: Weight = 30.0
    repeatable: StrictBool = False
    profile: StrictBool = False
    quiet: StrictBool = False


@dataclass(frozen=True, config=STRICT)
class Config:
    """Every setting of a transfer.

    Attributes:
        size: the longer side of the result in pixels.
        scales: coarse to fine: their sizes, how many there are, each half of the next, or "auto".
        steps: at the finest scale, doubled at each coarser one, or one number per scale.
        strength: 0 stays near the content, 1 leaves little of it; multiplies loss.style_weight and loss.color_weight by
            10^(2 strength - 1).
        init: a name of `nst_jax.job.INITS`, "previous" in a sweep, or a file.
        seed: of the noise.
        color: one of `nst_jax.images.color.COLORS`.
        preview: whether to write an AdaIN preview first.
        imports: modules to import first, which register style distances or networks.
    """

    kind: ClassVar[str] = "transfer"  # how records name what this is the config of
    content: PictureConfig = field(default_factory=lambda: PictureConfig("tubingen"))
    style: StyleConfig = field(default_factory=StyleConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    run: RunConfig = field(default_factory=RunConfig)
    size: Side = 384
    scales: Annotated[
        Literal["auto"] | Positive | Annotated[list[Side], Field(min_length=1)],
        rule("auto, a number of scales, or a list of sizes of at least 16 such as [128,256]"),
    ] = "auto"
    steps: Annotated[
        Positive | Annotated[list[Positive], Field(min_length=1)],
        rule("a whole number, at least 1, or a list such as [60,30]"),
    ] = 60
    strength: Annotated[StrictFloat, rule("a number between 0 and 1", ge=0, le=1)] = 0.5
    init: File = "recolored"
    seed: Seed = 0
    color: StrictStr = "style"
    preview: StrictBool = False
    imports: Annotated[list[StrictStr], rule("a list of modules such as [my_losses]")] = field(default_factory=list)
