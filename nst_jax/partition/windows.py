"""Windows: which part of each map has to be computed for some positions of the tapped ones, along one side of a picture.

A network runs on a window of a picture as on a whole one. Where the window is cut out of the picture, and not at its border,
the outermost positions of each map are wrong, as they miss what lies beyond. So the window is larger than what is asked for,
and between the parts of the network, its blocks, what the next part does not need is cut off again.
"""

import math
from typing import NamedTuple

from nst_jax.networks.architectures import ARCHITECTURES, Layer, extent, names_of
from nst_jax.networks.convnet import segments
from nst_jax.partition.receptive_field import receptive_field

# Parts that end in a pooling begin at multiples of this, so that Winograd's tiles are those of the whole picture but for the
# outermost, and the largest of a pooling's values is the same one.
ALIGNMENT = 4

Span = tuple[int, int]  # the first position, and the first one beyond


class Part(NamedTuple):
    """The work in a block of the network, along one side.

    Attributes:
        names: of the maps to be computed; the last one goes into the next part.
        keep: the span of the input, of what the part before gives.
        cores: by name of a tapped map, the span that was asked for, of what this part computes.
    """

    names: tuple[str, ...]
    keep: Span
    cores: tuple[tuple[str, Span], ...]


class Window(NamedTuple):
    """The window of one side; those of different tiles are equal but for where they start.

    Attributes:
        size: in pixels.
        parts: of the network.
    """

    size: int
    parts: tuple[Part, ...]


def lengths(architecture: str, taps: tuple[str, ...], length: int) -> dict[str, int]:
    """The number of positions along a side, of the picture ("") and of each map to the last tap.

    Example:
        >>> lengths("vgg19", ("relu2_1",), 37)
        {'': 37, 'conv1_1': 37, 'relu1_1': 37, 'conv1_2': 37, 'relu1_2': 37, 'pool1': 18, 'conv2_1': 18, 'relu2_1': 18}
    """
    found = {"": length}
    for layer in ARCHITECTURES[architecture]:
        size, stride, margin = extent(layer)
        length = (length + 2 * margin - size) // stride + 1
        found |= dict.fromkeys(names_of(layer), length)
        if set(taps) <= found.keys():
            break
    return found


def cores(architecture: str, taps: tuple[str, ...], pixels: Span, length: int) -> dict[str, Span]:
    """The positions of each tapped map that belong to a span of pixels, one of some that cover a side without a gap."""
    last = pixels[1] >= length
    counts = lengths(architecture, taps, length)
    strides = {name: receptive_field(architecture, name).stride for name in taps}
    return {name: (pixels[0] // s, counts[name] if last else pixels[1] // s) for name, s in strides.items()}


def window(architecture: str, taps: tuple[str, ...], pixels: Span, length: int) -> tuple[int, Window]:
    """The window for the positions that belong to `pixels`: where it starts, and what to do in it.

    Args:
        architecture: a key of `ARCHITECTURES`.
        taps: layer names.
        pixels: whose start is a multiple of every tap's stride.
        length: of the picture's side.

    Example:
        >>> start, found = window("vgg19", ("relu1_1", "relu3_1"), (32, 64), 96)
        >>> start, found.size
        (20, 54)
        >>> [(part.names[-1], part.keep, dict(part.cores)) for part in found.parts]
        [('pool1', (0, 54), {'relu1_1': (12, 44)}), ('pool2', (2, 26), {}), ('relu3_1', (1, 11), {'relu3_1': (1, 9)})]
    """
    asked, counts = cores(architecture, taps, pixels, length), lengths(architecture, taps, length)
    blocks = _blocks(architecture, taps)
    spans, need = [], None
    for layers, _ in reversed(blocks):
        need = _input_of(layers, need, asked, counts, architecture)
        spans.append(need)
    starts = [span[0] for span in reversed(spans)]
    parts, before = [], starts[0]
    for (layers, names), (start, stop) in zip(blocks, reversed(spans), strict=True):
        found, at = [], start
        for layer in layers:
            at //= extent(layer)[1]
            found += [(name, (asked[name][0] - at, asked[name][1] - at)) for name in names_of(layer) if name in asked]
        parts.append(Part(names, (start - before, stop - before), tuple(found)))
        before = at
    return starts[0], Window(spans[-1][1] - spans[-1][0], tuple(parts))


def _blocks(architecture: str, taps: tuple[str, ...]) -> list[tuple[list[Layer], tuple[str, ...]]]:
    """The layers of each block, and the names of the maps to be computed in it."""
    rows, found = list(ARCHITECTURES[architecture]), []
    for names in segments(architecture, taps, "blocks"):
        number = next(i for i, layer in enumerate(rows) if names[-1] in names_of(layer)) + 1
        found.append((rows[:number], names))
        rows = rows[number:]
    return found


def _input_of(
    layers: list[Layer], need: Span | None, asked: dict[str, Span], counts: dict[str, int], architecture: str
) -> Span:
    """The span of a block's input that its needed outputs and its tapped maps see."""
    table = ARCHITECTURES[architecture]
    for layer in reversed(layers):
        spans = [asked[name] for name in names_of(layer) if name in asked] + ([need] if need else [])
        size, stride, margin = extent(layer)
        first, last = min(span[0] for span in spans), max(span[1] for span in spans) - 1
        i = table.index(layer)
        length = counts[names_of(table[i - 1])[-1] if i else ""]
        need = max(0, first * stride - margin), min(length, last * stride - margin + size)
    assert need is not None
    stride = math.prod(extent(layer)[1] for layer in layers)
    whole = max(stride, ALIGNMENT) if stride > 1 else 1
    return need[0] // whole * whole, need[1]
