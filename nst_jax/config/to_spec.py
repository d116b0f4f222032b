"""From a config to the frozen description of a job. The schema has checked each value; here they are checked together."""

from typing import Any

import jax

from nst_jax.config.layer_weights import layer_shares, one_each, style_shares
from nst_jax.config.schema import Config, LossConfig, OptimizerConfig
from nst_jax.errors import InputError, check_ge, check_one_of
from nst_jax.images.color import COLORS
from nst_jax.images.files import MIN_SIDE
from nst_jax.job import INITS, JobSpec, Scale
from nst_jax.networks import choose_convolution
from nst_jax.networks.convnet import REMAT, NetworkSpec, check_taps, smallest_image
from nst_jax.networks.layers import PRECISIONS
from nst_jax.networks.ops import PADDINGS
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.hypercolumns import check_layer, joined_channels
from nst_jax.objective.loss import LossWeights, ObjectiveSpec
from nst_jax.objective.priors import TOTAL_VARIATIONS
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.optimize.solver import SolverSpec, solver_spec

# `scales=auto` halves the size down to this many pixels.
COARSEST = 96


def to_spec(config: Config, *, architecture: str, num_styles: int | None = None, num_regions: int | None = None) -> JobSpec:
    """The frozen description of the job.

    Args:
        config: the settings.
        architecture: of the parameters that `config.network.name` stands for.
        num_styles: the number of style images, if not those that the config names.
        num_regions: the number of regions, if not those that the config names; 1 is no mask.

    Raises:
        InputError: an unknown name, or lists of different lengths.
    """
    objective = _objective(config, architecture)
    styles, mask = config.style, config.mask
    num_styles = num_styles or len(styles.pictures)
    num_regions = num_regions or len(mask.regions or [None])
    if mask.styles is not None and len(mask.styles) != num_styles:
        raise InputError(f"mask.styles must be one for each of the {num_styles} styles, got {len(mask.styles)}; null for none")
    region_weights = one_each("mask.weights", mask.weights or [1.0] * num_regions, num_regions, "region")
    style_scales = styles.scale if isinstance(styles.scale, list) else [styles.scale] * num_styles
    scales = _scales(config)
    check_ge("size of the smallest scale", scales[0].size, smallest_image(architecture, objective.taps))
    return JobSpec(
        objective=objective,
        loss_weights=_loss_weights(config.loss, config.strength, region_weights, architecture),
        solver=_solver(config.optimizer),
        scales=scales,
        style_scales=tuple(one_each("style.scale", style_scales, num_styles, "style")),
        style_shares=style_shares(styles.blend, styles.layers, config.loss.style_layers, num_styles, num_regions),
        init=config.init if config.init in INITS else "file",
        seed=config.seed,
        color=check_one_of("color", config.color, COLORS),
        plan_settings=_plan_settings(config),
        repeatable=config.run.repeatable,
    )


def _objective(config: Config, architecture: str) -> ObjectiveSpec:
    network, loss = config.network, config.loss
    check_taps(architecture, loss.content_layers)
    for layer in loss.style_layers:
        check_layer(architecture, layer)
    for name in ("content_layers", "style_layers"):
        layers = getattr(loss, name)
        if len(set(layers)) < len(layers):
            raise InputError(f"loss.{name} must name each layer once, got {layers}; remove the repeated one")
    if not loss.content_layers and not loss.style_layers:
        raise InputError("loss must have a content or a style layer, got none; set loss.content_layers or loss.style_layers")
    return ObjectiveSpec(
        NetworkSpec(
            architecture=architecture,
            pooling=network.pooling,
            pooling_scale=network.pooling_scale,
            padding=check_one_of("network.padding", network.padding, tuple(PADDINGS)),
            padding_at=network.padding_at,
            convolution=choose_convolution(
                network.convolution, check_one_of("network.precision", network.precision, tuple(PRECISIONS))
            ),
            precision=network.precision,
        ),
        content_layers=tuple(loss.content_layers),
        style_layers=tuple(loss.style_layers),
        style_distance=check_one_of("loss.style_distance", loss.style_distance, tuple(STYLE_DISTANCES)),
        convention=check_one_of("loss.convention", loss.convention, tuple(CONVENTIONS)),
        tv=check_one_of("loss.tv", loss.tv, tuple(TOTAL_VARIATIONS)),
        epsilon=loss.epsilon,
        color=loss.color_weight > 0 and bool(loss.style_layers),
        turned=config.style.turned,
    )


def _plan_settings(config: Config) -> dict[str, Any]:
    """The fields of the execution plan that are not "auto"."""
    distance = config.loss.style_distance
    settings = {
        "remat": check_one_of("network.remat", config.network.remat, ("auto", *REMAT)),
        "tile": _tile(config.scale.tile, distance),
        "devices": _devices(config.scale.devices, distance),
    }
    return {name: value for name, value in settings.items() if value != "auto"}


def _tile(value: int | str, style_distance: str) -> int | str:
    if STYLE_DISTANCES[style_distance].additive:
        return 0 if value == "off" else value
    if isinstance(value, int):
        raise InputError(f"scale.tile must be off or auto with {style_distance}, which needs whole maps, got {value}")
    return 0


def _devices(value: int | str, style_distance: str) -> int | str:
    additive = STYLE_DISTANCES[style_distance].additive
    if isinstance(value, str):
        return value if additive else 1
    if value > 1 and not additive:
        raise InputError(f"scale.devices must be 1 or auto with {style_distance}, which needs whole maps, got {value}")
    if value > (most := jax.device_count()):
        raise InputError(f"scale.devices must be at most {most}, the number of devices, got {value}; use scale.devices=auto")
    if value not in (1, most) and jax.process_count() > 1:
        raise InputError(f"scale.devices must be auto, or all {most} of several processes, got {value}; use scale.devices=auto")
    return value


def _loss_weights(loss: LossConfig, strength: float, regions: list[float], architecture: str) -> LossWeights:
    content = _layer_weights("content", loss.content_layers, loss.content_layer_weights, loss.content_weight, architecture)
    factor = 10 ** (2 * strength - 1)
    beta = loss.style_weight * factor
    style = _layer_weights("style", loss.style_layers, loss.style_layer_weights, beta, architecture)
    tv: Any = loss.tv_weight
    color: Any = loss.color_weight * factor
    return LossWeights(content, style, tv, tuple(regions), color=color)


def _layer_weights(term: str, layers: list[str], given: Any, total: float, architecture: str) -> dict[str, Any]:
    channels = {layer: joined_channels(architecture, layer) for layer in layers}
    return {name: total * w for name, w in layer_shares(f"loss.{term}_layer_weights", given, channels).items()}


def _solver(optimizer: OptimizerConfig) -> SolverSpec:
    own: dict[str, Any] = {"learning_rate": optimizer.learning_rate}
    if optimizer.name == "lbfgs":
        own = {"memory": optimizer.memory, "dct_floor": optimizer.dct_floor}
    return solver_spec(optimizer.name, averaging=optimizer.averaging, **own, **optimizer.options)


def _scales(config: Config) -> tuple[Scale, ...]:
    sizes = _sizes(config)
    if isinstance(config.steps, list):
        steps = config.steps
    else:
        steps = [config.steps if isinstance(config.scales, list) else config.steps * 2**i for i in reversed(range(len(sizes)))]
    if len(steps) != len(sizes):
        raise InputError(
            f"steps must have one number for each of the scales {sizes}, got {steps}; give as many, or one for all"
        )
    return tuple(Scale(size, count) for size, count in zip(sizes, steps, strict=True))


def _sizes(config: Config) -> list[int]:
    """The sizes of the scales, coarse to fine."""
    if config.scales == "auto":
        return _halvings(config.size)
    if isinstance(config.scales, int):
        sizes = [config.size // 2**i for i in reversed(range(min(config.scales, config.size.bit_length())))]
        check_ge("size of the smallest scale", sizes[0], MIN_SIDE)
        return sizes
    sizes = list(config.scales)
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
