"""How long a run takes: by the rate of the last run of its kind on this device; of a first run, by that of a processor core.

A step takes time in proportion to `step_cost`; a rate is that cost per second.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jax
import platformdirs

from nst_jax import job
from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side
from nst_jax.runner.prepare import Prepared
from nst_jax.runs.progress import step_cost
from nst_jax.system.atomic_write import atomic_write

# Without an earlier run: a core's share of the default transfer at 384 px by VGG-19, see experiments/002-cpu-speed.
CORE_RATE = 1e5
COMPILE_S = 7.0  # for each scale, on two such cores
LEAST = 1e6  # cost of a run whose rate is kept
MOST = 100  # kinds of runs whose rates are kept


@dataclass(frozen=True)
class Estimate:
    """What is known of the time of a run.

    Attributes:
        work: the cost of all steps, of each scale; of a film, the frames that follow count with the last one.
        rate: of them, per second; None where nothing is known of the device.
        overhead: seconds beside the steps.
        known: whether there was a run of its kind before, whose programs are still there.
    """

    work: tuple[int, ...]
    rate: float | None
    overhead: float
    known: bool

    @property
    def seconds(self) -> float | None:
        """Of the whole run."""
        return None if self.rate is None else self.overhead + sum(self.work) / self.rate


def estimate(prepared: Prepared) -> Estimate:
    """The estimate for a run."""
    work = [
        scale.steps * step_cost(height * width) * prepared.jobs
        for scale, (height, width) in zip(prepared.spec.scales, prepared.sizes, strict=True)
    ]
    content = prepared.inputs.content
    for scale in prepared.further:
        height, width = fit_long_side(content.shape[1], content.shape[2], scale.size)
        work[-1] += scale.steps * step_cost(height * width)
    if found := _rates().get(_key(prepared)):
        return Estimate(tuple(work), found["rate"], found["overhead"], True)
    rate = CORE_RATE * (os.cpu_count() or 1) if jax.default_backend() == "cpu" else None
    return Estimate(tuple(work), rate, COMPILE_S * len(work), False)


def learn(prepared: Prepared, result: job.Result) -> None:
    """Keeps the rate of a run that has ended. What cannot be kept is not."""
    work = sum(estimate(prepared).work)
    if result.stopped or work < LEAST or len(result.rows) < prepared.steps / prepared.jobs:
        return  # stopped or resumed: not all of it was seen
    steps, total = result.seconds["steps"], result.seconds["total"]
    kept = {**_rates(), _key(prepared): {"rate": work / max(steps, 1e-3), "overhead": max(0.0, total - steps)}}
    with suppress(InputError, OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        atomic_write(_file(), json.dumps(dict([*kept.items()][-MOST:])).encode())


def first_line(prepared: Prepared) -> str:
    """The device, the sizes and the time of a run, in one line."""
    scales, (height, width) = prepared.spec.scales, prepared.sizes[-1]
    coarser = f", coarse to fine from {scales[0].size} px" if len(scales) > 1 else ""
    times = f" x {prepared.jobs}" if prepared.jobs > 1 else ""
    return (
        f"{_device()}: {width}x{height} pixels{times}, {prepared.steps} steps{coarser}; {duration(estimate(prepared).seconds)}"
    )


def duration(seconds: float | None) -> str:
    """A time in words.

    Example:
        >>> duration(8.0), duration(100.0), duration(20000.0), duration(None)
        ('about 8 s', 'about 2 min', 'about 5.6 h', 'time unknown before a first run on this device')
    """
    if seconds is None:
        return "time unknown before a first run on this device"
    value, unit = (seconds, "s") if seconds < 90 else (seconds / 60, "min") if seconds < 5400 else (seconds / 3600, "h")
    return f"about {value:.1f} {unit}" if unit == "h" else f"about {max(1, round(value))} {unit}"


def _device() -> str:
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu, {os.cpu_count()} cores"
    return f"{len(devices)} x {devices[0].device_kind}"


def _key(prepared: Prepared) -> str:
    loss = getattr(prepared.config, "loss", None)
    parts = (_device(), prepared.kind.name, prepared.begun["params"]["name"], getattr(loss, "style_distance", ""))
    return " | ".join((*parts, str(prepared.spec.objective.network.precision), f"{len(prepared.spec.scales)} scales"))


def _file() -> Path:
    return Path(platformdirs.user_cache_dir("nst_jax")) / "rates.json"


def _rates() -> dict[str, dict[str, float]]:
    try:
        found = json.loads(_file().read_text("utf-8"))
        return {key: {name: float(one[name]) for name in ("rate", "overhead")} for key, one in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
