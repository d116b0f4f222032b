"""Settings of an inversion, and its checked job: see `nst_jax.config.schema` for those of a transfer."""

from dataclasses import asdict, field
from typing import Annotated, ClassVar

from pydantic import Field, StrictFloat, StrictStr
from pydantic.dataclasses import dataclass

from nst_jax.config.compose import register
from nst_jax.config.schema import STRICT, Count, Factor, PictureConfig, Positive, RunConfig, Seed, Side, Weight, rule
from nst_jax.errors import InputError, check_one_of
from nst_jax.invert.neurons import Neurons
from nst_jax.invert.objective import InversionSpec, PriorWeights
from nst_jax.invert.representation import DESCRIPTORS
from nst_jax.job import JobSpec, Scale
from nst_jax.networks.convnet import NetworkSpec, check_taps, layer_names
from nst_jax.objective.natural_image import RMS
from nst_jax.optimize.solver import SOLVERS, SolverSpec, solver_spec
from nst_jax.partition import WHOLE

# The paper's rate, and its factors each with a number of steps: for networks and for descriptors.
RATE = 0.004
NETWORK_SCHEDULE = ((1.0, 100), (0.1, 200), (0.01, 100))
DESCRIPTOR_SCHEDULE = ((1.0, 200), (0.1, 200), (0.01, 200), (0.001, 200))
# Ours: Adam on cosine coefficients (`nst_jax.optimize.dct`) with a falling rate; rate and steps for networks and descriptors.
DCT_FLOOR = 0.01
NETWORK_RATE, NETWORK_STEPS = 0.05, 250
DESCRIPTOR_RATE, DESCRIPTOR_STEPS = 0.01, 600
# λ_V by depth: of descriptors and of the layers up to conv1 ... relu2, up to relu4, and beyond (the paper's λ1, λ2, λ3).
TV_WEIGHTS = {"1": 0.5, "2": 0.5, "3": 5.0, "4": 5.0}
DEEP_TV_WEIGHT = 50.0


@dataclass(frozen=True, config=STRICT)
class NeuronsConfig:
    """Which neurons count: see `nst_jax.invert.neurons.choose`."""

    center: Annotated[Positive | None, rule("a whole number, at least 1, or null")] = None
    patch: Annotated[list[Count] | None, rule("[top,left,height,width], or null")] = None
    channels: Annotated[StrictStr | list[Count] | None, rule("first_half, last_half, a list of numbers, or null")] = None


@dataclass(frozen=True, config=STRICT)
class InvertConfig:
    """Everything that can be set of an inversion."""

    kind: ClassVar[str] = "inversion"
    representation: StrictStr = "vgg19"
    layer: Annotated[StrictStr | None, rule("the name of a layer, or null")] = None
    content: PictureConfig = field(default_factory=lambda: PictureConfig("tubingen"))
    size: Side = 227
    neurons: NeuronsConfig = field(default_factory=NeuronsConfig)
    alpha: Annotated[StrictFloat, Field(gt=1)] = InversionSpec.alpha
    beta: Factor = InversionSpec.beta
    alpha_weight: Weight = 2.16e8
    tv_weight: Annotated[Weight | None, rule("a number, at least 0, or null")] = None
    solver: StrictStr = "adam"
    steps: Annotated[Positive | None, rule("a whole number, at least 1, or null")] = None
    restarts: Positive = 1
    seed: Seed = 0
    run: RunConfig = field(default_factory=RunConfig)


register("invert_schema", InvertConfig)


def layer_of(config: InvertConfig, architecture: str) -> str:
    """The representation to invert: the descriptor, or the layer of the network (by default the one of depth 4).

    Args:
        config: what the user set.
        architecture: of the network; "" for a descriptor.

    Raises:
        InputError: the network has no such layer, or a layer is given for a descriptor.
    """
    if config.representation in DESCRIPTORS:
        if config.layer is not None:
            raise InputError(f"layer must be left out for {config.representation}, which has none, got {config.layer!r}")
        return config.representation
    layer = config.layer or next(name for name in ("relu4_2", "relu4") if name in layer_names(architecture))
    check_taps(architecture, (layer,))
    return layer


def usual_tv_weight(layer: str) -> float:
    """λ_V of a layer: 0.5 for descriptors and blocks 1 and 2, 5 for blocks 3 and 4, then 50.

    A pooling or a normalization is of the next block.

    Example:
        >>> [usual_tv_weight(layer) for layer in ("hog", "relu2", "norm2", "relu4_2", "fc8")]
        [0.5, 0.5, 5.0, 5.0, 50.0]
    """
    if layer in DESCRIPTORS:
        return TV_WEIGHTS["1"]
    block = int(layer.lstrip("abcdefghijklmnopqrstuvwxyz")[0]) + layer.startswith(("pool", "norm"))
    return TV_WEIGHTS.get(str(block), DEEP_TV_WEIGHT)


def to_job(config: InvertConfig, layer: str, network: NetworkSpec, neurons: Neurons, entries: int) -> JobSpec:
    """The frozen description of the job, with every value checked.

    Args:
        config: what the user set.
        layer: from `layer_of`.
        network: which a descriptor has no use for.
        neurons: which of the code's neurons count.
        entries: of the picture, to which the paper's learning rate is in proportion (its σ²).

    Raises:
        InputError: a value out of range.
    """
    tv_weight = usual_tv_weight(layer) if config.tv_weight is None else config.tv_weight
    solver, steps = _solver(config, descriptor=layer in DESCRIPTORS, entries=entries)
    return JobSpec(
        objective=InversionSpec(layer, network, neurons, config.alpha, config.beta),
        loss_weights=PriorWeights(config.alpha_weight, tv_weight),  # pyright: ignore[reportArgumentType]
        solver=solver,
        scales=(Scale(config.size, steps),),
        init="file",
        seed=config.seed,
        plan_settings=asdict(WHOLE),
        repeatable=config.run.repeatable,
    )


def _solver(config: InvertConfig, *, descriptor: bool, entries: int) -> tuple[SolverSpec, int]:
    """The solver and its steps: as set, as many as the paper's schedule has, or ours."""
    name = check_one_of("solver", config.solver, tuple(SOLVERS))
    schedule = DESCRIPTOR_SCHEDULE if descriptor else NETWORK_SCHEDULE
    usual = sum(count for _, count in schedule) if name == "momentum" else DESCRIPTOR_STEPS if descriptor else NETWORK_STEPS
    steps = usual if config.steps is None else config.steps
    if name == "momentum":
        return solver_spec(name, learning_rate=RATE * entries * (RMS / 255) ** 2, schedule=schedule), steps
    if name == "adam":
        rate = DESCRIPTOR_RATE if descriptor else NETWORK_RATE
        return solver_spec(name, learning_rate=rate, dct_floor=DCT_FLOOR, decay_steps=steps), steps
    return solver_spec(name), steps


def check_counts(config: InvertConfig) -> None:
    """Raises InputError for settings of `run` that several restarts do not have: their snapshots have the same names."""
    if config.restarts > 1 and (config.run.snapshot_every or config.run.video):
        raise InputError(f"restarts must be 1 with run.snapshot_every or run.video, got {config.restarts}; leave one out")
