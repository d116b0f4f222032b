"""Configs: what may be set, its default, and its meaning; `to_spec` checks a config once and makes the frozen specs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nst_jax.errors import InputError, one_of
from nst_jax.images.color import COLORS
from nst_jax.job import INITS, JobSpec, Scale
from nst_jax.networks import choose_convolution
from nst_jax.networks.convnet import REMAT, NetworkSpec, check_taps, smallest_image
from nst_jax.networks.padding import PADDINGS
from nst_jax.networks.precision import PRECISIONS
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.objective import LossWeights, ObjectiveSpec
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.optimize.solvers import SOLVERS, SolverSpec

# `scales=auto` halves the size down to this many pixels, and doubles the steps each time.
COARSEST = 96
# Shares written with few digits, such as 0.33, add up to 1 nearly.
_BLEND_TOLERANCE = 0.011


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


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
        blend: the share of each, 1 in all; null: equal shares.
    """

    name: Any = "starry"
    path: Any = None
    scale: Any = 1.0
    blend: Any = None

    @property
    def pictures(self) -> list[PictureConfig]:
        """Each picture by itself."""
        if self.path is not None:
            return [PictureConfig("style", path) for path in _listed(self.path)]
        return [PictureConfig(name) for name in _listed(self.name)]


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
    """The loss: layers, α (content_weight), β (style_weight), weights w_l of the layers.

    These are a list, or null for 1/n each, or "halving": each layer counts half of the one before it, 1 in all.
    """

    convention: str = "mean"
    content_layers: list[str] = field(default_factory=lambda: ["relu4_2"])
    style_layers: list[str] = field(default_factory=lambda: [f"relu{i}_1" for i in range(1, 6)])
    style_distance: str = "wasserstein"
    content_weight: float = 0.08
    style_weight: float = 1.0
    tv_weight: float = 2.0
    content_layer_weights: Any = None
    style_layer_weights: Any = "halving"


@dataclass
class OptimizerConfig:
    """The solver: see `nst_jax.optimize.solvers.SolverSpec`."""

    name: str = SolverSpec.name
    learning_rate: float = SolverSpec.learning_rate
    memory: int = SolverSpec.memory
    averaging: float = SolverSpec.averaging


@dataclass
class RunConfig:
    """The record: its folder (named after the time if not said), the steps between rows and pictures, a film, quiet or not.

    Checkpoints are written each so many seconds, and when the run is interrupted; 0 is then only.
    """

    dir: str | None = None
    log_every: int = 1
    snapshot_every: int = 0
    video: bool = False
    checkpoint_every_s: float = 10.0
    quiet: bool = False


@dataclass
class Config:
    """Everything that can be set. A default stands here or in the spec that it comes from, and nowhere else."""

    content: PictureConfig = field(default_factory=lambda: PictureConfig("tubingen"))
    style: StyleConfig = field(default_factory=StyleConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    size: int = 384
    scales: Any = "auto"
    steps: Any = 60
    init: str = JobSpec.init
    seed: int = JobSpec.seed
    color: str = JobSpec.color
    preview: bool = False


def to_spec(config: Config, *, architecture: str, num_styles: int | None = None) -> JobSpec:
    """The frozen description of the job, with every value checked.

    Args:
        config: what the user set.
        architecture: of the parameters that `config.network.name` stands for.
        num_styles: how many style pictures there are, if not those that the config names.

    Raises:
        InputError: a value out of range, an unknown name, or lists of different lengths.
    """
    objective = _objective(config, architecture)
    _at_least("run.log_every", config.run.log_every, 1)
    _at_least("run.snapshot_every", config.run.snapshot_every, 0)
    _at_least("run.checkpoint_every_s", config.run.checkpoint_every_s, 0)
    num_styles = num_styles or len(config.style.pictures)
    scales = _scales(config)
    smallest = smallest_image(architecture, objective.taps)
    _at_least("size of the smallest scale", scales[0].size, smallest)
    return JobSpec(
        objective=objective,
        loss_weights=_loss_weights(config.loss),
        solver=_solver(config.optimizer),
        scales=scales,
        style_scales=_style_scales(config.style.scale, num_styles),
        style_shares=_style_shares(config, num_styles),
        init=config.init if config.init in INITS else "file",
        seed=_at_least("seed", config.seed, 0),
        color=one_of("color", config.color, COLORS),
    )


def _objective(config: Config, architecture: str) -> ObjectiveSpec:
    network, loss = config.network, config.loss
    check_taps(architecture, [*loss.content_layers, *loss.style_layers])
    for name in ("content_layers", "style_layers"):
        layers = getattr(loss, name)
        if len(set(layers)) < len(layers):
            raise InputError(f"loss.{name} must name each layer once, got {layers}; remove the repeated one")
    if not loss.content_layers and not loss.style_layers:
        raise InputError("loss must have a content or a style layer, got none; set loss.content_layers or loss.style_layers")
    return ObjectiveSpec(
        NetworkSpec(
            architecture=architecture,
            pooling=one_of("network.pooling", network.pooling, ("max", "average")),
            pooling_scale=_above("network.pooling_scale", network.pooling_scale, 0),
            padding=one_of("network.padding", network.padding, tuple(PADDINGS)),
            padding_at=one_of("network.padding_at", network.padding_at, ("all", "first")),
            convolution=choose_convolution(
                one_of("network.convolution", network.convolution, ("auto", "winograd", "xla")),
                one_of("network.precision", network.precision, tuple(PRECISIONS)),
            ),
            precision=network.precision,
            remat=one_of("network.remat", network.remat, tuple(REMAT)),
        ),
        content_layers=tuple(loss.content_layers),
        style_layers=tuple(loss.style_layers),
        style_distance=one_of("loss.style_distance", loss.style_distance, tuple(STYLE_DISTANCES)),
        convention=one_of("loss.convention", loss.convention, tuple(CONVENTIONS)),
    )


def _loss_weights(loss: LossConfig) -> LossWeights:
    content = _layer_weights("content", loss.content_layers, loss.content_layer_weights, loss.content_weight)
    style = _layer_weights("style", loss.style_layers, loss.style_layer_weights, loss.style_weight)
    return LossWeights(content, style, _at_least("loss.tv_weight", loss.tv_weight, 0))  # pyright: ignore[reportArgumentType]


def _layer_weights(term: str, layers: list[str], given: Any, total: float) -> dict[str, Any]:
    _at_least(f"loss.{term}_weight", total, 0)
    key = f"loss.{term}_layer_weights"
    shares = _shares(key, given, len(layers))
    if len(shares) != len(layers):
        what = f"{key} must have one number for each of the {len(layers)} layers"
        raise InputError(f"{what}, got {len(shares)}; give as many, or null for equal weights")
    return {name: total * _at_least(key, w, 0) for name, w in zip(layers, shares, strict=True)}


def _shares(key: str, given: Any, count: int) -> list[float]:
    """The weights of so many layers.

    Example:
        >>> _shares("w", None, 4), _shares("w", "halving", 2), _shares("w", [1, 3], 2)
        ([0.25, 0.25, 0.25, 0.25], [0.6666666666666666, 0.3333333333333333], [1.0, 3.0])
    """
    if given is None:
        return [1 / max(count, 1)] * count
    if given == "halving":
        return [2.0 ** (count - 1 - i) / (2.0**count - 1) for i in range(count)]
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(type(w) in (int, float) for w in given):
        raise InputError(f"{key} must be null, halving, or a list of numbers such as [1,0.5], got {given!r}")
    return [float(w) for w in given]


def _style_scales(scale: Any, num_styles: int) -> tuple[float, ...]:
    scales = _numbers("style.scale", scale, num_styles) if isinstance(scale, Sequence) else [scale] * num_styles
    return tuple(_above("style.scale", float(factor), 0) for factor in scales)


def _style_shares(config: Config, num_styles: int) -> dict[str, Any]:
    """By style layer, for each region (here one) the share of each style."""
    blend = config.style.blend
    shares = [1 / num_styles] * num_styles if blend is None else _numbers("style.blend", blend, num_styles)
    if abs(sum(_at_least("style.blend", share, 0) for share in shares) - 1) > _BLEND_TOLERANCE:
        raise InputError(f"style.blend must add up to 1, got {shares}, which is {sum(shares):g}; divide each by that")
    return {layer: (tuple(share / sum(shares) for share in shares),) for layer in config.loss.style_layers}


def _numbers(what: str, values: Any, count: int) -> list[float]:
    """A list of so many numbers, one for each style."""
    good = isinstance(values, Sequence) and not isinstance(values, str)
    if not good or len(values) != count or not all(type(v) in (int, float) for v in values):
        raise InputError(f"{what} must be a list of one number for each style, here {count}, got {values!r}")
    return list(values)


def _solver(optimizer: OptimizerConfig) -> SolverSpec:
    return SolverSpec(
        name=one_of("optimizer.name", optimizer.name, tuple(SOLVERS)),
        learning_rate=_above("optimizer.learning_rate", optimizer.learning_rate, 0),
        memory=_at_least("optimizer.memory", optimizer.memory, 1),
        averaging=_below("optimizer.averaging", _at_least("optimizer.averaging", optimizer.averaging, 0), 1),
    )


def _scales(config: Config) -> tuple[Scale, ...]:
    if config.scales == "auto":
        sizes = _halvings(_at_least("size", config.size, 16))
    else:
        sizes = _integers("scales", config.scales, 16)
        if sizes != sorted(set(sizes)):
            raise InputError(f"scales must grow, got {sizes}; give each size once, the smallest first")
    if type(config.steps) is int:
        last = _at_least("steps", config.steps, 1)
        steps = [last * 2**i for i in reversed(range(len(sizes)))] if config.scales == "auto" else [last] * len(sizes)
    else:
        steps = _integers("steps", config.steps, 1)
    if len(steps) != len(sizes):
        raise InputError(
            f"steps must have one number for each of the scales {sizes}, got {steps}; give as many, or one for all"
        )
    return tuple(Scale(size, count) for size, count in zip(sizes, steps, strict=True))


def _halvings(size: int) -> list[int]:
    """The sizes of `scales=auto`: `size` and its halves, down to `COARSEST`.

    Example:
        >>> _halvings(384), _halvings(128)
        ([96, 192, 384], [128])
    """
    sizes = [size]
    while sizes[0] // 2 >= COARSEST:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def _integers(what: str, value: Any, least: int) -> list[int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or not all(type(v) is int for v in value):
        raise InputError(f"{what} must be a whole number or a list of them, got {value!r}; for example {what}=[128,256]")
    return [_at_least(what, v, least) for v in value]


def _at_least(what: str, value: Any, least: int | float) -> Any:
    if not least <= value < float("inf"):
        raise InputError(f"{what} must be at least {least}, got {value}")
    return value


def _above(what: str, value: Any, bound: int | float) -> Any:
    if not bound < value < float("inf"):
        raise InputError(f"{what} must be above {bound}, got {value}")
    return value


def _below(what: str, value: Any, bound: int | float) -> Any:
    if not value < bound:
        raise InputError(f"{what} must be below {bound}, got {value}")
    return value
