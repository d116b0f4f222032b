"""A bounded part of `python -m tests.fuzz`: a few damaged files of every kind."""

import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.networks.architectures import ARCHITECTURES
from tests.fuzz import harness, pictures, weights


@pytest.fixture
def outside(tmp_path):
    """A folder that is not the cases'."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    return folder


def test_damaged_pictures(outside):
    tally = harness.run_cases("pictures", pictures.damaged_picture, 120, seconds=15, outside=outside)
    assert tally.failures == []
    assert tally.outcomes["read"] > 0
    assert tally.outcomes["refused"] > 0


def test_damaged_parameters(outside, tmp_path, monkeypatch):
    for name, layers in ARCHITECTURES.items():
        monkeypatch.setitem(ARCHITECTURES, name, layers)
    weights.make_networks_narrow()
    tally = harness.run_cases("weights", lambda rng: weights.damaged_weights(tmp_path, rng), 80, seconds=15, outside=outside)
    assert tally.failures == []
    assert tally.outcomes["read"] > 0
    assert tally.outcomes["refused"] > 0


def test_the_harness_sees_what_must_not_happen(outside):
    def refuse(rng: np.random.Generator) -> str:
        raise InputError("one line")

    def fail(rng: np.random.Generator) -> str:
        raise ZeroDivisionError

    def touch(rng: np.random.Generator) -> str:
        (outside / "precious").write_text("yours")
        return "read"

    tallies = [harness.run_cases("test", case, 1, outside=outside) for case in (refuse, fail, touch)]
    assert [(*tally.outcomes, len(tally.failures)) for tally in tallies] == [("refused", 0), ("traceback", 1), ("read", 1)]
