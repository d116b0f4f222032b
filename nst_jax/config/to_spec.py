"""From a config to the frozen description of a job, with every value checked once."""

from collections.abc import Sequence
from typing import Any

import jax

from nst_jax.config.layer_weights import layer_shares, numbers, style_shares
from nst_jax.config.schema import Config, LossConfig, OptimizerConfig
from nst_jax.errors import InputError, check_ge, check_gt, check_lt, check_one_of
from nst_jax.images.color import COLORS
from nst_jax.images.files import MIN_SIDE
from nst_jax.job import INITS, JobSpec, Scale
from nst_jax.networks import choose_convolution
from nst_jax.networks.convnet import REMAT, NetworkSpec, check_taps, num_channels, smallest_image
from nst_jax.networks.layers import PRECISIONS
from nst_jax.networks.ops.padding import PADDINGS
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.loss import LossWeights, ObjectiveSpec
from nst_jax.objective.priors import TOTAL_VARIATIONS
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.optimize.solver import SolverSpec, solver_spec

# `scales=auto` halves the size down to this many pixels.
COARSEST = 96
# Below so many pixels a tile is next to nothing but its margin, which other tiles compute as well.
SMALLEST_TILE = 64


def to_spec(config: Config, *, architecture: str, num_styles: int | None = None, num_regions: int | None = None) -> JobSpec:
    """The frozen description of the job, with every value checked.

    Args:
        config: what the user set.
        architecture: of the parameters that `config.network.name` stands for.
        num_styles: how many style pictures there are, if not those that the config names.
        num_regions: likewise how many regions; 1 is no mask.

    Raises:
        InputError: a value out of range, an unknown name, or lists of different lengths.
    """
    objective = _objective(config, architecture)
    check_ge("run.log_every", config.run.log_every, 1)
    check_ge("run.snapshot_every", config.run.snapshot_every, 0)
    check_ge("run.checkpoint_every_s", config.run.checkpoint_every_s, 0)
    styles, mask = config.style, config.mask
    num_styles = num_styles or len(styles.pictures)
    num_regions = num_regions or len(mask.regions or [None])
    if mask.styles is not None and len(mask.styles) != num_styles:
        raise InputError(f"mask.styles must be one for each of the {num_styles} styles, got {len(mask.styles)}; null for none")
    region_weights = numbers("mask.weights", mask.weights or [1.0] * num_regions, num_regions, "region")
    style_scales = styles.scale if isinstance(styles.scale, Sequence) else [styles.scale] * num_styles
    scales = _scales(config)
    smallest = smallest_image(architecture, objective.taps)
    check_ge("size of the smallest scale", scales[0].size, smallest)
    return JobSpec(
        objective=objective,
        loss_weights=_loss_weights(config.loss, region_weights, architecture),
        solver=_solver(config.optimizer),
        scales=scales,
        style_scales=tuple(
            check_gt("style.scale", scale, 0) for scale in numbers("style.scale", style_scales, num_styles, "style", least=None)
        ),
        style_shares=style_shares(styles.blend, styles.layers, config.loss.style_layers, num_styles, num_regions),
        init=config.init if config.init in INITS else "file",
        seed=check_ge("seed", config.seed, 0),
        color=check_one_of("color", config.color, COLORS),
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
            pooling=check_one_of("network.pooling", network.pooling, ("max", "average")),
            pooling_scale=check_gt("network.pooling_scale", network.pooling_scale, 0),
            padding=check_one_of("network.padding", network.padding, tuple(PADDINGS)),
            padding_at=check_one_of("network.padding_at", network.padding_at, ("all", "first")),
            convolution=choose_convolution(
                check_one_of("network.convolution", network.convolution, ("auto", "winograd", "xla")),
                check_one_of("network.precision", network.precision, tuple(PRECISIONS)),
            ),
            precision=network.precision,
            remat=check_one_of("network.remat", network.remat, tuple(REMAT)),
        ),
        content_layers=tuple(loss.content_layers),
        style_layers=tuple(loss.style_layers),
        style_distance=check_one_of("loss.style_distance", loss.style_distance, tuple(STYLE_DISTANCES)),
        convention=check_one_of("loss.convention", loss.convention, tuple(CONVENTIONS)),
        tv=check_one_of("loss.tv", loss.tv, tuple(TOTAL_VARIATIONS)),
        epsilon=check_gt("loss.epsilon", loss.epsilon, 0),
        tile=_tile(config.scale.tile, loss.style_distance),
        devices=_devices(config.scale.devices, loss.style_distance),
    )


def _tile(value: Any, style_distance: str) -> int | str:
    whole = not STYLE_DISTANCES[style_distance].additive
    if value is False or value == "off":  # YAML reads off as false
        return 0
    if value == "auto":
        return 0 if whole else "auto"
    if type(value) is not int:
        raise InputError(f"scale.tile must be auto, off or a number of pixels, got {value!r}; for example scale.tile=512")
    if whole:
        raise InputError(f"scale.tile must be off or auto with {style_distance}, which needs whole maps, got {value}")
    return check_ge("scale.tile", value, SMALLEST_TILE)


def _devices(value: Any, style_distance: str) -> int | str:
    if value == "auto":
        return "auto" if STYLE_DISTANCES[style_distance].additive else 1
    if type(value) is not int:
        raise InputError(f"scale.devices must be auto or a number of devices, got {value!r}; for example scale.devices=2")
    if check_ge("scale.devices", value, 1) > 1 and not STYLE_DISTANCES[style_distance].additive:
        raise InputError(f"scale.devices must be 1 or auto with {style_distance}, which needs whole maps, got {value}")
    if value > (most := jax.device_count()):
        raise InputError(
            f"scale.devices must be at most {most}, the devices that there are, got {value}; use scale.devices=auto"
        )
    if value not in (1, most) and jax.process_count() > 1:
        raise InputError(f"scale.devices must be auto, or all {most} of several processes, got {value}; use scale.devices=auto")
    return value


def _loss_weights(loss: LossConfig, regions: list[float], architecture: str) -> LossWeights:
    content = _layer_weights("content", loss.content_layers, loss.content_layer_weights, loss.content_weight, architecture)
    style = _layer_weights("style", loss.style_layers, loss.style_layer_weights, loss.style_weight, architecture)
    tv: Any = check_ge("loss.tv_weight", loss.tv_weight, 0)
    return LossWeights(content, style, tv, tuple(regions))


def _layer_weights(term: str, layers: list[str], given: Any, total: float, architecture: str) -> dict[str, Any]:
    check_ge(f"loss.{term}_weight", total, 0)
    channels = {layer: num_channels(architecture, layer) for layer in layers}
    return {name: total * w for name, w in layer_shares(f"loss.{term}_layer_weights", given, channels).items()}


def _solver(optimizer: OptimizerConfig) -> SolverSpec:
    rate = {"learning_rate": check_gt("optimizer.learning_rate", optimizer.learning_rate, 0)}
    memory = {"memory": check_ge("optimizer.memory", optimizer.memory, 1)}
    averaging = check_lt("optimizer.averaging", check_ge("optimizer.averaging", optimizer.averaging, 0), 1)
    arguments = (memory if optimizer.name == "lbfgs" else rate) | optimizer.options
    return solver_spec(optimizer.name, averaging=averaging, **arguments)


def _scales(config: Config) -> tuple[Scale, ...]:
    sizes, given = _sizes(config), not (config.scales == "auto" or type(config.scales) is int)
    if type(config.steps) is int:
        last = check_ge("steps", config.steps, 1)
        steps = [last if given else last * 2**i for i in reversed(range(len(sizes)))]
    else:
        steps = _integers("steps", config.steps, 1, "a whole number or a list of them")
    if len(steps) != len(sizes):
        raise InputError(
            f"steps must have one number for each of the scales {sizes}, got {steps}; give as many, or one for all"
        )
    return tuple(Scale(size, count) for size, count in zip(sizes, steps, strict=True))


def _sizes(config: Config) -> list[int]:
    """The sizes of the scales, coarse to fine."""
    if config.scales == "auto":
        return _halvings(check_ge("size", config.size, MIN_SIDE))
    if type(config.scales) is int:
        check_ge("size", config.size, MIN_SIDE)
        sizes = [config.size // 2**i for i in reversed(range(check_ge("scales", config.scales, 1)))]
        check_ge("size of the smallest scale", sizes[0], MIN_SIDE)
        return sizes
    sizes = _integers("scales", config.scales, MIN_SIDE, "auto, how many there are, or a list of their sizes")
    if sizes != sorted(set(sizes)):
        raise InputError(f"scales must grow, got {sizes}; give each size once, the smallest first")
    if config.size not in (sizes[-1], Config.size):
        raise InputError(
            f"size must be the last of scales={sizes}, got {config.size}; set size={sizes[-1]}, or leave scales out"
        )
    return sizes


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


def _integers(what: str, value: Any, least: int, rule: str) -> list[int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or not all(type(v) is int for v in value):
        raise InputError(f"{what} must be {rule}, got {value!r}; for example {what}=[128,256]")
    return [check_ge(what, v, least) for v in value]
