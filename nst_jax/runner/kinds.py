"""The kinds of runs, and reading the config of a recorded one. A new kind is one more entry of `KINDS`."""

import os
from dataclasses import replace
from typing import Any

from nst_jax.config.compose import from_yaml
from nst_jax.invert.run import INVERSION
from nst_jax.runner.prepare import TRANSFER, Kind, Prepared
from nst_jax.runs.folder import RunFolder

KINDS = {kind.name: kind for kind in (TRANSFER, INVERSION)}


def kind_of(config: Any) -> Kind:
    """The kind of run that a config describes."""
    return KINDS[config.kind]


def prepare(config: Any) -> Prepared:
    """Checks a config of any kind and reads its inputs. Raises an InputError for anything the user can fix."""
    return kind_of(config).prepare(config)


def recorded_config(text: str, source: str) -> Any:
    """The config in a record, of any kind. Raises an InputError if it cannot be read."""
    return from_yaml(text, source, [kind.schema for kind in KINDS.values()])


def config_in(folder: RunFolder) -> Any:
    """The config of a run folder. Raises an InputError if it cannot be read."""
    config = recorded_config(folder.read_config(), f"config.yaml in {folder.path}")
    return replace(config, run=replace(config.run, dir=os.fspath(folder.path)))
