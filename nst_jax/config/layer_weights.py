"""Which style counts how much, at which layer and in which region: lists of a config, checked."""

import math
from collections.abc import Sequence
from typing import Any

from nst_jax.errors import InputError

# Shares written with few digits, such as 0.33, add up to 1 nearly.
TOLERANCE = 0.011


def one_each(what: str, numbers: Sequence[int | float], count: int, of: str) -> list[float]:
    """The numbers, if there are `count` of them.

    Raises:
        InputError: there are more or fewer.
    """
    if len(numbers) != count:
        raise InputError(f"{what} must be a list of one number for each of the {count} {of}s, got {list(numbers)}")
    return [float(number) for number in numbers]


def style_shares(
    blend: Any, layers_of_styles: Any, style_layers: Sequence[str], num_styles: int, num_regions: int
) -> dict[str, tuple[tuple[float, ...], ...]]:
    """By style layer, there by region, the share of each style; they add up to 1.

    Args:
        blend: `StyleConfig.blend`.
        layers_of_styles: `StyleConfig.layers`.
        style_layers: where style is measured.
        num_styles: how many styles there are.
        num_regions: how many regions.

    Raises:
        InputError: lists that do not fit, shares that do not add up, a layer without a style.

    Example:
        >>> style_shares([0.7, 0.3], None, ["relu1_1"], 2, 1)
        {'relu1_1': ((0.7, 0.3),)}
        >>> style_shares(None, [["relu1_1"], ["relu2_1"]], ["relu1_1", "relu2_1"], 2, 1)
        {'relu1_1': ((1.0, 0.0),), 'relu2_1': ((0.0, 1.0),)}
    """
    rows = _rows(blend, num_styles, num_regions)
    speaks = _speaks(layers_of_styles, style_layers, num_styles)
    return {layer: tuple(_row(layer, row, speaks[layer]) for row in rows) for layer in style_layers}


def _rows(blend: Any, num_styles: int, num_regions: int) -> list[list[float]]:
    """For each region the shares of the styles."""
    if blend is None and num_regions > 1 and num_styles > 1:
        if num_styles != num_regions:
            raise InputError(
                f"styles must be one, or one for each of the {num_regions} regions, got {num_styles};"
                " or say in style.blend what each region has, such as [[1,0],[0.5,0.5]]"
            )
        return [[float(style == region) for style in range(num_styles)] for region in range(num_regions)]
    given: Any = [1 / num_styles] * num_styles if blend is None else blend
    if not any(isinstance(row, Sequence) for row in given):
        given = [given] * num_regions
    if len(given) != num_regions:
        raise InputError(f"style.blend must have a list for each of the {num_regions} regions, got {len(given)}")
    return [_adds_up(one_each("style.blend", row, num_styles, "style")) for row in given]


def _adds_up(shares: list[float]) -> list[float]:
    total = sum(shares)
    if abs(total - 1) > TOLERANCE:
        raise InputError(f"style.blend must add up to 1, got {shares}, which is {total:g}; divide each by that")
    return [share / total for share in shares]


def _speaks(layers_of_styles: Any, style_layers: Sequence[str], num_styles: int) -> dict[str, list[bool]]:
    """By layer, whether each style has a say in it."""
    if layers_of_styles is None:
        return {layer: [True] * num_styles for layer in style_layers}
    given = layers_of_styles
    if len(given) != num_styles:
        raise InputError(f"style.layers must be a list of layers for each of the {num_styles} styles, got {given}")
    unknown = [name for layers in given for name in layers if name not in style_layers]
    if unknown:
        known = ", ".join(style_layers) or "none"
        raise InputError(f"style.layers must be among loss.style_layers, {known}; got {unknown[0]!r}")
    return {layer: [layer in layers for layers in given] for layer in style_layers}


def _row(layer: str, shares: list[float], speaks: list[bool]) -> tuple[float, ...]:
    kept = [share if says else 0.0 for share, says in zip(shares, speaks, strict=True)]
    if not sum(kept):
        raise InputError(f"every layer must have a style in each region, got none for {layer}; add it in style.layers")
    return tuple(share / sum(kept) for share in kept)


# The blocks of a network between two poolings, from the first, and how much their layers count by a rule: "middle" for style,
# "deep" for content, found by what networks that were not optimized say of the pictures (see experiments/003-quality). The
# first and the last number of "deep" are guesses.
BLOCK_WEIGHTS = {"middle": (6, 25, 36, 29, 4), "deep": (0.2, 1, 5, 6, 6)}


def layer_shares(what: str, given: Any, channels: dict[str, int]) -> dict[str, float]:
    """The weight of each layer.

    Args:
        what: the setting, for messages.
        given: null or "equal"; "middle", the layers of blocks 1 to 5 as 6:25:36:29:4; "deep", as 0.2:1:5:6:6; "halving", each
            counts half of the one before; "1/C2", as the inverse square of the number of channels; a ratio such as
            "256:64:16:4:1": these are 1 in all; or a list of the weights themselves.
        channels: of each layer, by name, in order.

    Raises:
        InputError: something else, a negative number, or not one for each layer.

    Example:
        >>> layer_shares("weights", "3:1", {"relu1_1": 64, "relu2_1": 128})
        {'relu1_1': 0.75, 'relu2_1': 0.25}
        >>> layer_shares("weights", "1/C2", {"relu1_1": 64, "relu2_1": 128})
        {'relu1_1': 0.8, 'relu2_1': 0.2}
    """
    if given is None or given == "equal":
        ratio = [1.0] * len(channels)
    elif isinstance(given, str) and given in BLOCK_WEIGHTS:
        ratio = [float(BLOCK_WEIGHTS[given][_block(name) - 1]) for name in channels]
    elif given == "halving":
        ratio = [2.0**-i for i in range(len(channels))]
    elif given == "1/C2":
        ratio = [1 / c**2 for c in channels.values()]
    elif isinstance(given, str):
        ratio = one_each(what, _parse_ratio(what, given), len(channels), "layer")
    else:
        return dict(zip(channels, one_each(what, given, len(channels), "layer"), strict=True))
    total = sum(ratio)
    if channels and not total:
        raise InputError(f"{what} must have a number above 0, got {given!r}")
    return {layer: part / total for layer, part in zip(channels, ratio, strict=True)}


def _block(layer: str) -> int:
    """Which of five blocks a layer is in, by the first digit of its name; the last one for what comes after."""
    return min(next((int(character) for character in layer if character.isdigit()), 5), 5)


def _parse_ratio(what: str, text: str) -> list[float]:
    try:
        ratio = [float(part) for part in text.split(":")]
        if len(ratio) > 1 and all(0 <= number < math.inf for number in ratio):
            return ratio
    except ValueError:
        pass
    raise InputError(f"{what} must be null, middle, deep, halving, equal, 1/C2, a ratio such as 4:2:1, or a list, got {text!r}")
