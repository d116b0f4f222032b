"""A bounded part of `python -m tests.fuzz`: a few damaged files of every kind."""

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from nst_jax.errors import InputError
from nst_jax.networks.architectures import ARCHITECTURES
from tests.fuzz import harness, weights
from tests.fuzz.__main__ import KINDS

COUNTS = {"pictures": 100, "runs": 6, "records": 30, "checkpoints": 10, "cache": 20, "weights": 60}


@pytest.fixture
def outside(tmp_path):
    """A folder that is not the cases'."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    return folder


@pytest.fixture
def kept(monkeypatch):
    """The networks and the cache of the other tests, given back afterwards."""
    for name, layers in ARCHITECTURES.items():
        monkeypatch.setitem(ARCHITECTURES, name, layers)
    before = {name: jax.config.values[name] for name in ("jax_compilation_cache_dir", "jax_enable_compilation_cache")}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_read_rightly_or_refused_in_one_line(kind, tmp_path, outside):
    if kind == "weights":
        weights.make_networks_narrow()
    inside = tmp_path / "inside"
    inside.mkdir()
    tally = harness.run_cases(kind, lambda rng: KINDS[kind][1](inside, rng), COUNTS[kind], seconds=15, outside=outside)
    assert tally.failures == []
    assert kind == "cache" or len(tally.outcomes) > 1  # damage shows, and not always


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
