"""Groups of neurons: the positions and channels of a code that an inversion looks at."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from nst_jax.errors import InputError

Code = Float[Array, "n _h _w _c"]
HALVES = ("first_half", "last_half")


@dataclass(frozen=True)
class Neurons:
    """Which neurons of a code count.

    Attributes:
        patch: top, left, height and width in positions; None for all of them.
        channels: their numbers; None for all of them.
    """

    patch: tuple[int, int, int, int] | None = None
    channels: tuple[int, ...] | None = None


def select(code: Code, neurons: Neurons) -> Code:
    """The part of a code that counts.

    Example:
        >>> code = jnp.arange(12.0).reshape(1, 2, 2, 3)
        >>> select(code, Neurons((1, 0, 1, 2), (0, 2))).ravel().tolist()
        [6.0, 8.0, 9.0, 11.0]
    """
    if neurons.patch is not None:
        top, left, height, width = neurons.patch
        code = code[:, top : top + height, left : left + width]
    return code if neurons.channels is None else code[..., jnp.asarray(neurons.channels)]


def choose(shape: tuple[int, ...], center: int | None, patch: list[int] | None, channels: list[int] | str | None) -> Neurons:
    """The neurons that a config asks for, of a code of shape [n, h, w, c].

    Args:
        shape: of the code.
        center: so many positions in each direction around the middle.
        patch: top, left, height and width in positions, instead of `center`.
        channels: numbers, "first_half" or "last_half".

    Raises:
        InputError: any of them outside of the code.

    Example:
        >>> choose((1, 13, 13, 384), 5, None, None)
        Neurons(patch=(4, 4, 5, 5), channels=None)
    """
    return Neurons(_patch(shape[1:3], center, patch), _channels(shape[3], channels))


def _patch(sides: tuple[int, ...], center: int | None, patch: list[int] | None) -> tuple[int, int, int, int] | None:
    height, width = sides
    if center is not None and patch is not None:
        raise InputError(f"neurons.center must not be set with neurons.patch, got {center} and {patch}; leave one out")
    if center is not None:
        if not 1 <= center <= min(sides):
            raise InputError(f"neurons.center must be 1 to {min(sides)}, the map is {height} x {width}; got {center}")
        return ((height - center) // 2, (width - center) // 2, center, center)
    if patch is None:
        return None
    rule = f"neurons.patch must be [top,left,height,width] within the map of {height} x {width} positions"
    if len(patch) != 4 or not (patch[0] >= 0 and patch[1] >= 0 and patch[2] >= 1 and patch[3] >= 1):
        raise InputError(f"{rule}, got {patch}; for example [0,0,1,1]")
    if patch[0] + patch[2] > height or patch[1] + patch[3] > width:
        raise InputError(f"{rule}, got {patch}; make it smaller, or move it")
    return (patch[0], patch[1], patch[2], patch[3])


def _channels(number: int, channels: list[int] | str | None) -> tuple[int, ...] | None:
    if channels is None:
        return None
    if isinstance(channels, str):
        if channels not in HALVES:
            raise InputError(f"neurons.channels must be {', '.join(HALVES)} or a list of numbers, got {channels!r}")
        return tuple(range(number // 2)) if channels == HALVES[0] else tuple(range(number // 2, number))
    if not channels or not all(0 <= channel < number for channel in channels) or len({*channels}) < len(channels):
        raise InputError(f"neurons.channels must be different numbers from 0 to {number - 1}, got {channels}")
    return tuple(channels)
