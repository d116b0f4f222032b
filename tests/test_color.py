"""Colors: against plain Python, and what each way of keeping them promises."""

import numpy as np
import pytest

from nst_jax.images import color
from tests.reference import color as reference

RANDOM = np.random.default_rng(3)
# Colors around a middle, so that no map leaves [0, 1].
CONTENT = (0.5 + 0.06 * RANDOM.normal(size=(1, 12, 15, 3)) @ RANDOM.normal(size=(3, 3))).clip(0.2, 0.8).astype(np.float32)
STYLE = (0.4 + 0.05 * RANDOM.normal(size=(1, 20, 9, 3)) @ RANDOM.normal(size=(3, 3))).clip(0.2, 0.8).astype(np.float32)


def flat(pixels):
    return pixels.reshape(-1, 3).astype(np.float64)


def test_oklab_is_that_of_plain_python_and_comes_back():
    colors = RANDOM.uniform(size=(40, 3))
    lab = color.to_oklab(colors)
    np.testing.assert_allclose(lab, [reference.oklab(*one) for one in colors.tolist()], atol=1e-12)
    np.testing.assert_allclose(color.from_oklab(lab), colors, atol=1e-6)
    red = reference.oklab(1, 0, 0)
    np.testing.assert_allclose(red, (0.62796, 0.22486, 0.12585), atol=1e-4)  # as published with the space


@pytest.mark.parametrize("name", color.MAPS)
def test_mean_and_covariance_become_the_contents(name):
    moved = color.match_covariance(STYLE, CONTENT, color.MAPS[name])
    assert (moved.shape, moved.dtype) == (STYLE.shape, np.float32)
    np.testing.assert_allclose(flat(moved).mean(0), flat(CONTENT).mean(0), atol=2e-3)
    np.testing.assert_allclose(
        reference.covariance(flat(moved).tolist()), reference.covariance(flat(CONTENT).tolist()), atol=2e-4
    )


def test_transport_moves_colors_the_least_and_other_maps_further():
    moves = {name: np.mean((color.match_covariance(STYLE, CONTENT, root) - STYLE) ** 2) for name, root in color.MAPS.items()}
    assert moves["match"] <= min(moves["match_pca"], moves["match_cholesky"]) + 1e-6
    source, goal = np.cov(flat(STYLE).T), np.cov(flat(CONTENT).T)
    np.testing.assert_allclose(color.transport(source, goal), color.transport(source, goal).T, atol=1e-9)


@pytest.mark.parametrize("name", color.COLORS)
def test_colors_that_are_the_contents_already_stay(name):
    content, style = color.recolor(CONTENT, CONTENT, name)
    np.testing.assert_allclose(style, color.luminance(CONTENT) if name == "luminance" else CONTENT, atol=2e-3)
    np.testing.assert_array_equal(content, color.luminance(CONTENT) if name == "luminance" else CONTENT)


@pytest.mark.parametrize("name", color.COLORS)
def test_flat_and_grey_pictures_have_no_color_to_divide_by(name):
    grey = np.full((1, 4, 5, 3), 0.3, np.float32)
    for content, style in [(grey, STYLE), (CONTENT, grey), (grey, grey)]:
        for found in color.recolor(content, style, name):
            assert ((found >= 0) & (found <= 1)).all()


def test_a_histogram_is_matched_rank_by_rank():
    moved = color.match_histogram(STYLE, CONTENT)
    for i in range(3):
        goal = np.quantile(CONTENT[..., i], np.linspace(0.1, 0.9, 9))
        np.testing.assert_allclose(np.quantile(moved[..., i], np.linspace(0.1, 0.9, 9)), goal, atol=0.02)
        assert (np.diff(moved[..., i].ravel()[np.argsort(STYLE[..., i].ravel())]) >= 0).all()


def test_luminance_is_painted_and_colors_are_kept():
    painted = color.luminance(STYLE[:, :9, :9])
    joined = color.with_colors(painted, CONTENT[:, :9, :9])
    lab, painted_lab, content_lab = (color.to_oklab(x) for x in (joined, painted, CONTENT[:, :9, :9]))
    shown = ((joined > 0) & (joined < 1)).all(-1)  # the others are colors that no screen shows
    assert shown.mean() > 0.9
    np.testing.assert_allclose(lab[shown][:, 0], painted_lab[shown][:, 0], atol=1e-5)
    np.testing.assert_allclose(lab[shown][:, 1:], content_lab[shown][:, 1:], atol=1e-5)
    np.testing.assert_allclose(color.with_colors(CONTENT, CONTENT), CONTENT, atol=1e-6)
    matched = color.to_oklab(color.match_luminance(STYLE, CONTENT))[..., 0]
    goal = color.to_oklab(CONTENT)[..., 0]
    np.testing.assert_allclose([matched.mean(), matched.std()], [goal.mean(), goal.std()], rtol=1e-3)
