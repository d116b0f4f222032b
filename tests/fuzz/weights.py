"""Damaged parameter files of every form: the network, or one line; nothing is executed."""

import hashlib
import pickle
from functools import cache
from pathlib import Path

import numpy as np

from nst_jax.networks.architectures import ARCHITECTURES, Conv
from nst_jax.networks.params.convert.dispatch import read_foreign
from nst_jax.networks.params.layout import kernel_shapes
from tests import test_convert
from tests.fuzz.harness import damage


def make_networks_narrow() -> None:
    """Give the real tables of layers a sixteenth of their channels, so that files are small."""
    for name, layers in list(ARCHITECTURES.items()):
        slim = tuple(x._replace(features=max(1, x.features // 16)) if isinstance(x, Conv) else x for x in layers)
        ARCHITECTURES[name] = slim  # pyright: ignore


@cache
def files(folder: Path) -> list[tuple[str, str, bytes]]:
    """A file of every form: its network and its bytes."""
    found = []
    for form, (write, network, _) in test_convert.FORMS.items():
        path = folder / "whole"
        write(path, test_convert.random_layers(network))
        found.append((form, network, path.read_bytes()))
    victim = folder / "executed"
    for protocol in range(6):
        call = test_convert.Call(eval, f"open({str(victim)!r}, 'w').close()")
        found.append((f"pickle {protocol}", "vgg19", pickle.dumps({"features.0.weight": call}, protocol=protocol)))
    return found


def damaged_weights(folder: Path, rng: np.random.Generator) -> str:
    """One case."""
    _, network, data = files(folder)[rng.integers(len(files(folder)))]
    path = folder / "damaged"
    path.write_bytes(data := damage(data, rng))
    try:
        params, form = read_foreign(path, network, hashlib.sha256(data).hexdigest())
    finally:
        assert not (folder / "executed").exists(), "the file was executed"
    assert {name: leaves["kernel"].shape for name, leaves in params.items() if name != "preprocess"} == kernel_shapes(network)
    assert form
    return "read"
