"""One pass by adaptive instance normalization: the decoder against PyTorch's layers, and what the picture promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.images.color import match_covariance, to_oklab, transport
from nst_jax.images.files import resize
from nst_jax.networks import adain
from nst_jax.networks.layers import prepare
from nst_jax.networks.params import store as weights
from nst_jax.networks.params.convert.rebuild import read_decoder
from nst_jax.runner.prepare import preview

RANDOM = np.random.default_rng(1)


def wave(height, width, length):
    rows, columns = np.mgrid[:height, :width]
    grey = 0.5 + 0.4 * np.sin(rows / length) * np.cos(columns / length)
    return np.stack([grey, grey**2, 1 - grey], -1)[None].astype(np.float32)


@pytest.mark.parametrize("method", ["xla", "winograd"])
def test_the_decoder_is_that_of_pytorch(method):
    torch = pytest.importorskip("torch")
    stored, maps = weights.load_params("adain-decoder"), RANDOM.uniform(0, 3, (1, 3, 4, 512)).astype(np.float32)
    layers = []
    for name, leaves in stored.items():
        assert leaves["kernel"].shape == (3, 3, *adain.DECODER[name])
    for name in adain.DECODER:
        kernel, bias = (torch.tensor(stored[name][leaf]) for leaf in ("kernel", "bias"))
        conv = torch.nn.Conv2d(*adain.DECODER[name], 3)
        conv.weight.data, conv.bias.data = kernel.permute(3, 2, 0, 1).contiguous(), bias
        layers += [torch.nn.ReflectionPad2d(1), conv, *([] if name == "conv1_1" else [torch.nn.ReLU()])]
        layers += [torch.nn.UpsamplingNearest2d(scale_factor=2)] if name in adain.DOUBLED else []
    with torch.no_grad():
        wanted = torch.nn.Sequential(*layers)(torch.tensor(maps).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    params = jax.tree.map(jnp.asarray, stored)
    params = {name: prepare(leaves) for name, leaves in params.items()} if method == "winograd" else params
    found = jax.jit(adain.Decoder(method).apply)({"params": params}, jnp.asarray(maps))
    assert wanted.shape == (1, 24, 32, 3)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_channels_get_the_styles_mean_and_deviation():
    content, style = (jnp.asarray(RANDOM.normal(1, 2, (1, side, 5, 7)), jnp.float32) for side in (6, 9))
    found = adain.normalize_to(content, 3 * style)
    np.testing.assert_allclose(found.mean((1, 2)), 3 * style.mean((1, 2)), atol=1e-4)
    np.testing.assert_allclose(found.std((1, 2)), 3 * style.std((1, 2)), rtol=1e-3)
    np.testing.assert_allclose(adain.normalize_to(style, style), style, atol=1e-4)


def test_a_preview_has_the_contents_size_whatever_it_is_divisible_by():
    painted = preview(wave(30, 45, 4.0), wave(40, 33, 2.0), size=37)
    assert painted.shape == (1, 25, 37, 3)
    assert ((painted >= 0) & (painted <= 1)).all()
    assert painted.std() > 0.05


def test_a_preview_has_the_colors_that_are_asked_for():
    content, style = wave(30, 45, 4.0), 1 - wave(40, 33, 2.0)
    photograph = resize(content, (25, 37))
    for color, colors in (("luminance", photograph), ("locked", match_covariance(photograph, style, transport))):
        painted = preview(content, style, size=37, color=color)
        shown = ((painted > 0) & (painted < 1)).all(-1)  # the others are colors that no screen shows
        np.testing.assert_allclose(to_oklab(painted)[shown][:, 1:], to_oklab(colors)[shown][:, 1:], atol=1e-3)


def test_another_file_is_no_decoder():
    with pytest.raises(InputError, match="must be the decoder"):
        read_decoder({"1.weight": np.zeros((4, 5, 3, 3))}, "some.pth")
