"""Tiles: the sums, the loss and the gradient of a whole picture, whatever its size, the distance, the masks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.style import STYLE_DISTANCES
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.partition.receptive_field import receptive_field
from nst_jax.partition.tiles import feature_maps, sum_over_positions, tiles
from nst_jax.partition.windows import lengths

STYLE = ("relu1_1", "relu2_1")
DEEP = ("relu1_1", "relu5_1")


def picture(seed: int, height: int, width: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random((1, height, width, 3), np.float32))


@pytest.fixture(scope="module")
def params():
    return {name: networks.load("vgg19", convolution=name).params for name in ("xla", "winograd")}


@pytest.mark.parametrize(("length", "tile"), [(16, 16), (47, 16), (64, 32), (100, 48), (130, 64), (131, 130)])
@pytest.mark.parametrize("taps", [DEEP, ("relu1_1",), ("pool2", "conv3_3")])
def test_the_tiles_of_every_size_have_each_position_once(length: int, tile: int, taps: tuple[str, ...]):
    groups = tiles("vgg19", taps, (length, 40), tile)
    for name in taps:
        seen = np.zeros([lengths("vgg19", taps, n)[name] for n in (length, 40)], int)
        stride = receptive_field("vgg19", name).stride
        for group, (_, (top, left)) in itertools.chain(*(zip(itertools.repeat(g), g.places, strict=False) for g in groups)):
            height, width = dict(group.sizes)[name]
            seen[top // stride : top // stride + height, left // stride : left // stride + width] += 1
        assert (seen == 1).all()


@pytest.mark.parametrize(("padding", "convolution"), [("zero", "winograd"), ("reflect", "xla"), ("replicate", "winograd")])
def test_every_position_has_the_map_of_the_whole_picture(params, padding: str, convolution: str):
    spec = NetworkSpec(padding=padding, convolution=convolution)
    image, taps = picture(0, 75, 110), ("conv1_2", "pool1", "relu2_2", "conv3_1")
    codes = jax.tree.map(lambda n: jnp.arange(n.size, dtype=jnp.float32).reshape(n.shape) % 1009 / 1009, maps_of(image, taps))

    @jax.jit
    def both(image):
        def sums(maps, beside, rest):
            return {name: (maps[name] * beside[name]).sum((0, 1, 2)) for name in taps}

        return [
            sum_over_positions(
                sums, params[convolution], image, codes, None, taps=taps, spec=spec, plan=ExecutionPlan(tile=tile)
            )
            for tile in (0, 48)
        ]

    whole, tiled = both(image)
    for name in taps:
        np.testing.assert_allclose(tiled[name], whole[name], rtol=0, atol=2e-5 * float(abs(whole[name]).max()))


def maps_of(image, taps):
    sizes = [lengths("vgg19", taps, n) for n in image.shape[1:3]]
    return {name: np.zeros((1, sizes[0][name], sizes[1][name], 1)) for name in taps}


def weights_for(spec: ObjectiveSpec, regions: int = 1) -> LossWeights:
    content = {name: jnp.float32(1e-3) for name in spec.content_layers}
    style = {name: jnp.float32(1 / len(spec.style_layers)) for name in spec.style_layers}
    return LossWeights(content, style, jnp.float32(0.1), tuple(jnp.float32(1) for _ in range(regions)))


def whole_and_tiled(params, spec: ObjectiveSpec, tile: int, image, content, styles):
    found = []
    for plan in (WHOLE, ExecutionPlan(tile=tile)):

        @jax.jit
        def run(params, image, content, styles, plan=plan):
            targets = make_targets(params, content, styles, spec=spec, plan=plan)
            weights = weights_for(spec, 1 if styles.regions is None else len(styles.regions))
            return jax.value_and_grad(lambda x: loss(params, x, targets, weights, spec=spec, plan=plan), has_aux=True)(image)

        (value, _), gradient = run(params, image, content, styles)
        found.append((float(value), np.asarray(gradient, np.float64)))
    return found


@pytest.mark.parametrize("distance", [name for name, parts in STYLE_DISTANCES.items() if parts.additive])
def test_loss_and_gradient_are_those_of_the_whole_picture(params, distance: str):
    spec = ObjectiveSpec(NetworkSpec(pooling="average", convolution="xla"), ("relu2_2",), STYLE, style_distance=distance)
    (value, gradient), (tiled, gradient_tiled) = whole_and_tiled(
        *(params["xla"], spec, 32, picture(0, 30, 71), picture(1, 30, 71)), Styles((picture(2, 40, 50), picture(3, 30, 30)))
    )
    assert tiled == pytest.approx(value, rel=1e-5)
    assert np.linalg.norm(gradient_tiled - gradient) <= 1e-5 * np.linalg.norm(gradient)


def test_masks_guide_the_tiles_too(params):  # of Gram matrices: see `many_devices.py`
    network = NetworkSpec(pooling="average", convolution="winograd")
    spec = ObjectiveSpec(network, ("relu2_1",), STYLE, style_distance="neighbors")
    left = jnp.where(jnp.arange(50) < 23, 1.0, 0.2)[None, None, :, None] * jnp.ones((1, 71, 1, 1))
    styles = Styles((picture(2, 60, 90),), masks=(picture(5, 60, 90)[..., :1],), regions=jnp.concatenate([left, 1 - left]))
    (value, gradient), (tiled, gradient_tiled) = whole_and_tiled(
        params["winograd"], spec, 48, picture(0, 71, 50), picture(1, 71, 50), styles
    )
    assert tiled == pytest.approx(value, rel=1e-5)
    assert np.linalg.norm(gradient_tiled - gradient) <= 1e-5 * np.linalg.norm(gradient)


def test_the_maps_of_the_content_are_put_together(params):
    taps, spec, image = ("relu1_2", "conv3_1"), NetworkSpec(convolution="winograd"), picture(0, 75, 50)
    plans = (WHOLE, ExecutionPlan(tile=32))
    both = jax.jit(lambda image: [feature_maps(params["winograd"], image, taps=taps, spec=spec, plan=plan) for plan in plans])
    whole, tiled = both(image)
    for name in taps:
        np.testing.assert_allclose(tiled[name], whole[name], rtol=0, atol=2e-5 * float(whole[name].max()))
