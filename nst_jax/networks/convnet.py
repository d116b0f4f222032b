"""The networks as one Linen module that runs a table of layers, and `features`, the function around it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from nst_jax.errors import InputError, check_one_of
from nst_jax.networks.architectures import ARCHITECTURES, Conv, Layer, Pool, extent, names_of
from nst_jax.networks.layers import ACTIVATIONS, Convolution, Preprocessing, local_response, pool
from nst_jax.networks.ops.halo import Rows, with_halo
from nst_jax.networks.ops.linear import recomputed
from nst_jax.types import Features, Images, Params

# Name in the config -> the prefixes of the layers that end a part which the gradient recomputes from its input: poolings end
# blocks. (Parts of single layers would store every layer's input, which takes more memory than no rematerialization.)
REMAT: dict[str, tuple[str, ...]] = {"none": (), "blocks": ("pool",)}


@dataclass(frozen=True)
class NetworkSpec:
    """A network without its parameters.

    Attributes:
        architecture: a key of `ARCHITECTURES`.
        pooling: "max", or "average", which Gatys et al. found slightly more appealing.
        pooling_scale: factor on every pooled map. Average pooling lowers activations (the mean falls from 1 to 0.2 at
            relu5_1 of the normalized VGG-19); a factor between 1 and 2 makes up for it.
        padding: "zero", "replicate" or "reflect".
        padding_at: "all" convolutions have that padding, or only the "first" one, the others padding with zeros.
        convolution: "winograd", for parameters that `prepare` has transformed, or "xla".
        precision: of the convolutions, a key of `PRECISIONS`; "bfloat16" is for convolution "xla" only.
    """

    architecture: str = "vgg19"
    pooling: str = "max"
    pooling_scale: float = 1.0
    padding: str = "zero"
    padding_at: str = "all"
    convolution: str = "xla"
    precision: str = "float32"
    layers: tuple[Layer, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Looks up the table of layers: a spec is equal to those of the same table only."""
        check_one_of("network architecture", self.architecture, tuple(ARCHITECTURES))
        object.__setattr__(self, "layers", ARCHITECTURES[self.architecture])


class ConvNet(nn.Module):
    """The layers of `spec` up to the last tap; returns the tapped maps by name.

    Attributes:
        after: the layers begin after this one, whose map is the input then; "" for the whole network, given pictures.
        rows: the pictures' rows are shared among devices, and this runs on one of them; None: they are not.
        training: channels are dropped where the table says so, by the random key "dropout".
    """

    spec: NetworkSpec
    taps: tuple[str, ...]
    after: str = ""
    rows: Rows | None = None
    training: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Features:
        """The tapped maps of pictures in [0, 1]."""
        layers = ARCHITECTURES[self.spec.architecture]
        if self.after:
            layers = layers[[names_of(layer)[-1] for layer in layers].index(self.after) + 1 :]
        else:
            x = Preprocessing(name="preprocess")(x)
        found: Features = {}
        before = self.after
        for layer in layers:
            x = self._apply(layer, self._with_halo(layer, x, before), found)
            before = names_of(layer)[-1]
            if len(found) == len(self.taps):
                break
        return {name: found[name] for name in self.taps}

    def _apply(self, layer: Layer, x: Float[Array, "n h w c"], found: Features) -> Float[Array, "n h2 w2 k"]:
        spec, (name, *active) = self.spec, names_of(layer)
        if isinstance(layer, Conv):
            x = self._convolution(layer, name)(x)
        elif isinstance(layer, Pool):
            x = pool(x, layer.window, layer.stride, spec.pooling, spec.pooling_scale)
        else:
            x = local_response(x, layer.offset, layer.alpha)
        self._tap(name, x, found)
        if isinstance(layer, Conv) and layer.activation:
            x = ACTIVATIONS[layer.activation](x)
            self._tap(active[0], x, found)
        if isinstance(layer, Conv) and layer.dropout and self.training:
            x = nn.Dropout(layer.dropout, deterministic=False, name=f"drop{layer.name}")(x)
        return x

    def _with_halo(self, layer: Layer, x: Float[Array, "n h w c"], before: str) -> Float[Array, "n h2 w c"]:
        """The map of the layer `before`, with the rows of other devices that the next one needs."""
        if self.rows is None:
            return x
        padding, height = self._padding(layer), self.rows.of(before)
        return with_halo(x, extent(layer), padding=padding, height=height, devices=self.rows.devices)

    def _padding(self, layer: Layer) -> str:
        first = layer is ARCHITECTURES[self.spec.architecture][0]
        return self.spec.padding if first or self.spec.padding_at == "all" else "zero"

    def _convolution(self, layer: Conv, name: str) -> Convolution:
        spec = self.spec
        return Convolution(
            features=layer.features,
            size=layer.size,
            stride=layer.stride,
            margin=layer.margin,
            groups=layer.groups,
            padding=self._padding(layer),
            axes=(2,) if self.rows else (1, 2),
            method=spec.convolution,
            precision=spec.precision,
            bias=layer.bias,
            std=layer.std,
            name=name,
        )

    def _tap(self, name: str, x: Float[Array, "n h w c"], found: Features) -> None:
        if name in self.taps:
            found[name] = x


def layer_names(architecture: str) -> tuple[str, ...]:
    """Every layer that can be tapped, in order.

    Example:
        >>> layer_names("vgg19")[:5]
        ('conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1')
    """
    return tuple(name for layer in ARCHITECTURES[architecture] for name in names_of(layer))


def num_channels(architecture: str, tap: str) -> int:
    """The number of channels of a layer's map.

    Example:
        >>> num_channels("vgg19", "pool2"), num_channels("alexnet2012", "relu6")
        (128, 4096)
    """
    passed = layer_names(architecture)[: layer_names(architecture).index(tap) + 1]
    layers = [layer for layer in ARCHITECTURES[architecture] if isinstance(layer, Conv) and names_of(layer)[0] in passed]
    return layers[-1].features


def layers_with_params(architecture: str, taps: Sequence[str]) -> tuple[str, ...]:
    """The names under which `Params` holds what the maps of `taps` depend on.

    Example:
        >>> layers_with_params("vgg19", ("relu1_2",))
        ('preprocess', 'conv1_1', 'conv1_2')
    """
    names = layer_names(architecture)
    last = max(names.index(tap) for tap in taps)
    return ("preprocess", *(name for name in names[: last + 1] if name.startswith(("conv", "fc"))))


def smallest_image(architecture: str, taps: Sequence[str]) -> int:
    """The smallest side in pixels of a picture that still reaches every tap with one position.

    Example:
        >>> smallest_image("vgg19", ("relu1_1", "relu5_1"))
        16
    """
    last = max(layer_names(architecture).index(tap) for tap in taps)
    passed = set(layer_names(architecture)[: last + 1])
    side = 1
    for layer in reversed(ARCHITECTURES[architecture]):
        if names_of(layer)[0] in passed:
            size, stride, margin = extent(layer)
            side = max(1, (side - 1) * stride + size - 2 * margin)
    return side


def check_taps(architecture: str, taps: Sequence[str]) -> None:
    """Raises InputError for a name that is no layer of the network."""
    names = layer_names(architecture)
    for tap in taps:
        if tap not in names:
            raise InputError(f"layer must be one of {architecture}'s {', '.join(names)}; got {tap!r}")


@functools.partial(jax.jit, static_argnames=("taps", "spec", "rows", "remat"))
def features(
    params: Params, image: Images, taps: tuple[str, ...], *, spec: NetworkSpec, rows: Rows | None = None, remat: str = "none"
) -> Features:
    """The maps of the layers `taps`, computing only the layers up to the last of them.

    Args:
        params: as `nst_jax.networks.load` gives them.
        image: pictures in [0, 1]; the network's own preprocessing is applied here.
        taps: layer names such as "conv4_2", "relu4_2" (after rectification) or "pool4".
        spec: the network.
        rows: how the pictures' rows are shared among devices, if they are: then `image` is what one of them has.
        remat: what the gradient recomputes instead of storing it, a key of `REMAT`.

    Returns:
        One map per tap, by name.
    """
    found: Features = {}
    x, after = image, ""
    for taps_here in segments(spec.architecture, taps, remat):
        run = functools.partial(apply_segment, names=taps_here, after=after, spec=spec, rows=rows)
        maps: Features = recomputed(run, params, x) if REMAT[remat] else run(params, x)  # pyright: ignore[reportAssignmentType]
        after = taps_here[-1]
        x = maps[after]
        found |= maps
    return {name: found[name] for name in taps}


def apply_segment(
    params: Params, x: Float[Array, "n h w c"], names: tuple[str, ...], after: str, spec: NetworkSpec, rows: Rows | None = None
) -> Features:
    """The maps `names` of a part of the network, from the map of the layer `after`; "" is a picture."""
    return ConvNet(spec, names, after, rows).apply({"params": params}, x)  # pyright: ignore[reportReturnType]


def segments(architecture: str, taps: Sequence[str], remat: str) -> list[tuple[str, ...]]:
    """The taps of each part of the network that is recomputed as a whole; the last one of a part is the input of the next.

    Example:
        >>> segments("vgg19", ("relu1_1", "relu3_1"), "blocks")
        [('relu1_1', 'pool1'), ('pool2',), ('relu3_1',)]
    """
    parts: list[tuple[str, ...]] = [()]
    left = set(taps)
    for name in layer_names(architecture):
        ends = name.startswith(REMAT[remat])
        if name in taps or ends:
            parts[-1] += (name,)
        left.discard(name)
        if not left:
            break
        if ends:
            parts.append(())
    return parts
