"""The installed jax is none that miscompiles a style loss (jax#39103: 0.10.2 and its like, on processors)."""

import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_the_miscompiled_release_is_not_installed():
    assert jax.__version__ != "0.10.2"


def test_no_pin_admits_the_miscompiled_release():
    packaging = pytest.importorskip("packaging.requirements")
    requirements = [packaging.Requirement(line) for line in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]]
    pins = [requirement for requirement in requirements if requirement.name in ("jax", "jaxlib")]
    assert len(pins) == 4
    assert not any(pin.specifier.contains(version) for pin in pins for version in ("0.10.2", "0.11.0", "0.11.1"))


@pytest.mark.parametrize("extra", ["cuda12", "cuda13", "tpu"])
def test_accelerators_get_the_same_releases_of_jax(extra: str):
    packaging = pytest.importorskip("packaging.requirements")
    project = tomllib.loads(PYPROJECT.read_text())["project"]

    def pins(lines: list[str]) -> set[tuple[str, str]]:
        found = [packaging.Requirement(line) for line in lines]
        return {(str(one.specifier), str(one.marker)) for one in found if one.name == "jax"}

    assert pins(project["optional-dependencies"][extra]) == pins(project["dependencies"])
    assert all(f"jax[{extra}]" in line for line in project["optional-dependencies"][extra])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [64, 512])
def test_matmul_square_sum_is_compiled_right(batch: int, channels: int):
    """The pattern of the bug: vmapped matmul, square, sum; at 512 channels a miscompiled program is far off."""

    def energy(features):
        return jnp.sum(jnp.square(jnp.matmul(features.T, features)))

    maps = np.random.default_rng(0).standard_normal((batch, 64, channels), np.float32)
    compiled = jax.jit(jax.vmap(energy))(maps)
    with jax.disable_jit():
        eager = jax.vmap(energy)(jnp.asarray(maps))
    expected = [np.sum((one.T @ one) ** 2) for one in maps.astype(np.float64)]
    np.testing.assert_allclose(eager, expected, rtol=1e-5)
    np.testing.assert_allclose(compiled, expected, rtol=1e-5)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(jax.vmap(energy)(x))))(maps)
    np.testing.assert_allclose(slope, [4 * one @ (one.T @ one) for one in maps.astype(np.float64)], rtol=1e-3, atol=1e-1)
