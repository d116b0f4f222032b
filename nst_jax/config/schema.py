"""Configs: what may be set, its default, and its meaning; `nst_jax.config.to_spec.to_spec` checks them."""

from dataclasses import dataclass, field
from typing import Any

from nst_jax.config.layer_weights import listed
from nst_jax.job import JobSpec
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import ObjectiveSpec


@dataclass
class PictureConfig:
    """A picture: by name (see `nst_jax.images.named`), or by path, which goes first."""

    name: str
    path: str | None = None


@dataclass
class StyleConfig:
    """The style: one picture or a list of them, by name or by path, and how they are mixed.

    Attributes:
        name: a name, or a list; several of the group, `style=[starry,shipwreck]`, become one.
        path: a file, or a list; goes first.
        scale: a style's longer side over the content's: larger gives coarser strokes. A number, or one for each.
        blend: the share of each, 1 in all, or such a list for each region; null: equal shares, or with regions, of which there
            are as many as styles, a style for each.
        layers: for each style the style layers that it has a say in, such as fine ones for one style and coarse ones for
            another; null: all.
    """

    name: Any = "starry"
    path: Any = None
    scale: Any = 1.0
    blend: Any = None
    layers: Any = None

    @property
    def pictures(self) -> list[PictureConfig]:
        """Each picture by itself."""
        if self.path is not None:
            return [PictureConfig("style", path) for path in listed(self.path)]
        return [PictureConfig(name) for name in listed(self.name)]


@dataclass
class MaskConfig:
    """Regions of the content picture, each with a style (see `StyleConfig.blend`).

    Attributes:
        regions: a mask for each, white inside, gray at soft edges; "rest" is what the others leave; null: no regions.
        weights: what each region's style term counts, beside its area; null: 1 each.
        styles: a mask for each style, of the part of it that counts, or null for all of it.
    """

    regions: list[str] | None = None
    weights: list[float] | None = None
    styles: list[str | None] | None = None


@dataclass
class NetworkConfig:
    """The network: see `nst_jax.networks.NetworkSpec`, whose own padding is the papers', with zeros: it darkens borders."""

    name: str = "vgg19"
    pooling: str = NetworkSpec.pooling
    pooling_scale: float = NetworkSpec.pooling_scale
    padding: str = "replicate"
    padding_at: str = "first"
    convolution: str = "auto"
    precision: str = NetworkSpec.precision
    remat: str = "auto"


@dataclass
class LossConfig:
    """The loss: layers, α (content_weight), β (style_weight), layer weights w_l (see `nst_jax.config.layer_weights`)."""

    convention: str = "mean"
    tv: str = ObjectiveSpec.tv
    content_layers: list[str] = field(default_factory=lambda: ["relu2_2", "relu3_2", "relu4_2"])
    style_layers: list[str] = field(default_factory=lambda: [f"relu{i}_1" for i in range(1, 6)])
    style_distance: str = "wasserstein"
    epsilon: float = ObjectiveSpec.epsilon
    content_weight: float = 0.19
    style_weight: float = 1.0
    tv_weight: float = 2.0
    content_layer_weights: Any = "deep"
    style_layer_weights: Any = "middle"


@dataclass
class OptimizerConfig:
    """The optimizer: see `nst_jax.optimize.solver.make_solver`.

    Attributes:
        name: adam, lbfgs, momentum, or `optax.NAME`, a factory of optax.
        learning_rate: of all but lbfgs.
        memory: of lbfgs.
        averaging: decay rate of the exponential average of the images that the result is; 0 is the last one alone.
        options: further arguments of the factory.
    """

    name: str = "lbfgs"
    learning_rate: float = 0.02
    memory: int = 10
    averaging: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScaleConfig:
    """What makes very large pictures possible, at the same loss.

    Attributes:
        tile: the longest side in pixels of what the network is run on at a time; "auto" is "off" where the whole fits into
            memory.
        devices: how many share the work, the first ones that there are; "auto" is all that a picture of its size keeps busy.
        hosts: "auto" joins the processes that `srun` or the variables of torchrun have started: see `nst_jax.runner.worker`.
    """

    tile: Any = "auto"
    devices: Any = "auto"
    hosts: Any = "off"


@dataclass
class RunConfig:
    """The record: its folder (named after the time if not said), the steps between rows and pictures, a film, quiet or not.

    Checkpoints are written each so many seconds, and when the run is interrupted; 0 is then only.
    """

    dir: str | None = None
    log_every: int = 1
    snapshot_every: int = 0
    video: bool = False
    checkpoint_every_s: float = 30.0
    quiet: bool = False


@dataclass
class Config:
    """Everything that can be set. A default stands here or in the spec that it comes from, and nowhere else."""

    content: PictureConfig = field(default_factory=lambda: PictureConfig("tubingen"))
    style: StyleConfig = field(default_factory=StyleConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    run: RunConfig = field(default_factory=RunConfig)
    size: int = 384
    scales: Any = "auto"
    steps: Any = 60
    init: str = JobSpec.init
    seed: int = JobSpec.seed
    color: str = JobSpec.color
    preview: bool = False
