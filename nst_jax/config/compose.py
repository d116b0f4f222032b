"""Between Hydra and the schema: options and composed configs become a `Config`, and Hydra's errors one line."""

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from nst_jax.config.schema import Config
from nst_jax.config.validate import GROUPS, choices, nearest, unknown_key, validate
from nst_jax.errors import InputError
from nst_jax.system import data_folder
from nst_jax.system.records import parse_yaml

# The sections that name pictures, and those that hold paths of files.
_ROLES = {"content", "style"}
_FILES = {"content": ("path",), "style": ("path",), "mask": ("regions", "styles")}


def register(name: str, schema: type[Any]) -> None:
    """Makes the defaults of a schema known to Hydra as the config `name`. Values are checked by `as_config` alone."""
    node = OmegaConf.create(dataclasses.asdict(schema()))
    if "optimizer" in node:
        OmegaConf.set_struct(node.optimizer, False)  # the arguments of an optax factory are keys beside the others
    ConfigStore.instance().store(name=name, node=node)


register("schema", Config)

_HINTS = {
    "content": "; for your own file, content.path=FILE",
    "style": "; for your own file, style.path=FILE",
    "network": "; for parameters you have converted, network.name=NAME",
    "hydra/launcher": '; submitit_slurm and submitit_local need pip install "nst_jax[cluster]", joblib "nst_jax[sweeps]"',
}


def make_config(options: Mapping[str, Any]) -> Config:
    """The defaults changed by `options`, which are those of the command line.

    A section is a mapping, `{"loss": {"style_weight": 10}}`, or the name of one of its presets, `{"loss": "gatys"}`, also
    `{"experiment": "fast"}`; `{"loss": "gatys", "loss.style_weight": 10}` is both.

    Raises:
        InputError: an unknown key or preset, or a value of the wrong type.

    Example:
        >>> make_config({"loss": {"style_weight": 10}}).loss.style_weight
        10.0
        >>> make_config({"loss": "gatys", "loss.tv_weight": 0}).loss.style_distance
        'gram'
    """
    chosen: list[str] = []
    settings: dict[str, Any] = {}
    for key, value in options.items():
        if key in GROUPS and isinstance(value, str | list | tuple):
            chosen.append(f"{key}={_choice(key, value)}")
        elif key != "experiment" or value is not None:
            for part in reversed(key.split(".")):
                value = {part: _plain(value)}
            settings = _merged(settings, value)
    if not chosen:
        return validate(_merged(dataclasses.asdict(Config()), settings), Config)
    composed = load(chosen)
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise InputError(f"experiment must be a single run, got {options['experiment']!r}, a sweep; run it on the command line")
    return validate(_merged(_plain_config(composed), settings), Config)


def _choice(group: str, value: Any) -> str:
    names = [value] if isinstance(value, str) else list(value)
    known = choices(group)
    for name in names:
        if name not in known:
            hint = nearest(name, known) or _HINTS.get(group, "")
            raise InputError(f"{group} must be one of {', '.join(known)}; got {name!r}{hint}")
    if len(names) > 1 and group != "style":
        raise InputError(f"{group} must be one of {', '.join(known)}; got {names}")
    return names[0] if len(names) == 1 else f"[{','.join(names)}]"


def _merged(base: Any, changes: Any) -> Any:
    """Nested mappings, those of `changes` going first."""
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**base, **{key: _merged(base.get(key), value) for key, value in changes.items()}}


def _plain(value: Any) -> Any:
    """The lists and numbers of NumPy and JAX arrays and scalars."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def load(overrides: list[str], name: str = "config") -> Any:
    """A config of the package as Hydra composes it, with Hydra's own section; no global state of Hydra is touched."""
    setup_globals()  # ${now:...} and the like
    JobRuntime.instance().set("name", "nst_jax")
    loader = ConfigLoaderImpl(create_config_search_path(str(data_folder("configs").resolve())))
    return loader.load_configuration(name, overrides, RunMode.RUN)


def check_imported(config: Any, source: str, advice: str) -> None:
    """Refuses a record that has modules imported, unless they are: it may come from anybody, and to import is to run code.

    Args:
        config: read from the record.
        source: what messages call it.
        advice: how the user imports them.

    Raises:
        InputError: a module is not imported yet.
    """
    if unknown := [name for name in getattr(config, "imports", ()) if name not in sys.modules]:
        raise InputError(f"{source} must not run code unasked, got imports={unknown}; if you trust these modules, {advice}")


def import_modules(names: Sequence[str]) -> None:
    """Imports modules that register style distances or networks.

    Raises:
        InputError: there is no such module, or it cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"imports must be modules that Python finds, got {name!r} ({reason}); check PYTHONPATH") from error


def from_command_line(name: str, schema: type[Any], member: Callable[[Any], None] | None = None) -> Any:
    """The config that `sys.argv` asks for; None for a sweep, whose members Hydra has given to `member` one by one.

    Args:
        name: of the config in the package.
        schema: what it becomes.
        member: runs a composed member; None: there are no sweeps.

    Raises:
        InputError: an unknown group, key or value, or a config that cannot be read.
    """
    alone: list[Any] = []

    @hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name=name)
    def task(composed: Any) -> None:
        if member and HydraConfig.get().mode == RunMode.MULTIRUN:
            member(composed)
        else:
            alone.append(composed)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    with _explained(schema, sys.argv[1:]):
        if composed := _one_run(name):
            return as_config(composed, schema)
        task()
    if len(alone) > 1:
        raise InputError("arguments must ask for one run, got -m; use a loop of commands")
    return as_config(alone[0], schema) if alone else None


def _one_run(name: str) -> Any:
    """What `sys.argv` composes to if that is one run; None if there are flags, or several values, which are for Hydra itself.

    Hydra composes everything twice, the first time only to see whether it is a sweep.
    """
    if any(word.startswith("-") or _lists_values(word) for word in sys.argv[1:]):
        return None
    composed = load(sys.argv[1:], name)
    if composed.hydra.mode == RunMode.MULTIRUN:
        return None
    HydraConfig.instance().set_config(composed)  # for ${hydra:...}
    return composed


def from_overrides(overrides: list[str], name: str = "config", schema: type[Any] = Config) -> Any:
    """The config of one run that the settings of a command line ask for, without `sys.argv` and Hydra's globals.

    Args:
        overrides: as `nst_jax.config.command_line.parse_command_line` gives them.
        name: of the config in the package.
        schema: what it becomes.

    Raises:
        InputError: an unknown group, key or value, or several runs.
    """
    with _explained(schema, overrides):
        composed = load(overrides, name)
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise InputError(f"settings must be those of one run, got a sweep: {' '.join(overrides)}; run it with nst-jax sweep")
    return as_config(composed, schema)


@contextmanager
def _explained(schema: type[Any], arguments: Sequence[str]) -> Iterator[None]:
    """Turns the errors of Hydra, OmegaConf and YAML into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise InputError(explain(error, schema, arguments)) from error


def as_config(composed: Any, schema: type[Any] = Config) -> Any:
    """A config as Hydra composes it, or a nested mapping, checked: a `Config`, or of another schema.

    Raises:
        InputError: an unknown key, a value of the wrong type, or a reference (`${...}`) to nothing.
    """
    try:
        plain = _plain_config(composed)
    except OmegaConfBaseException as error:
        raise InputError(explain(error, schema)) from error
    return validate(plain, schema)


def _plain_config(composed: Any) -> dict[str, Any]:
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in composed.items()
        if key != "hydra"
    }


def from_yaml(text: str, source: str, schemas: Sequence[type[Any]] = (Config,)) -> Any:
    """The config that `to_yaml` wrote.

    Args:
        text: of a record.
        source: what messages call it.
        schemas: it must be of one of them.

    Raises:
        InputError: it is no config, of another kind, or of a version with other keys.
    """
    values = parse_yaml(text, source)
    kinds, kind = {schema.kind: schema for schema in schemas}, str(values.pop("kind", Config.kind))
    if kind not in kinds:
        raise InputError(f"{source} must be of the kind {' or '.join(kinds)}, got {kind[:40]!r}; give the record of such a run")
    for role in _ROLES & values.keys():
        if isinstance(part := values[role], dict) and part.get("path") is not None:
            part["name"] = role
    try:
        return as_config(values, kinds[kind])
    except InputError as error:
        raise InputError(f"{source} must be of this version of nst_jax: {error}") from error


def to_yaml(config: Any, *, record: bool = True) -> str:
    """The config and its kind as YAML; for a shared picture, if not `record`, without `run` and the folders of files."""
    plain = _recorded(config) if record else _without_folders(settings_of(config))
    return yaml.safe_dump({"kind": config.kind} | plain, sort_keys=False, allow_unicode=True)


def settings_of(config: Any) -> dict[str, Any]:
    """The config as a mapping, without its `run` section, which does not bear on the picture."""
    return {key: value for key, value in _recorded(config).items() if key != "run"}


def _recorded(config: Any) -> dict[str, Any]:
    """The config as a mapping. A picture given by its path has no name."""
    plain = dataclasses.asdict(config)
    for role in _ROLES & plain.keys():
        if plain[role]["path"] is not None:
            plain[role]["name"] = None
    return plain


def _without_folders(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with names of files instead of paths."""

    def shortened(value: Any) -> Any:
        if isinstance(value, list):
            return [shortened(item) for item in value]
        return os.path.basename(value) if isinstance(value, str) else value

    for group, keys in _FILES.items():
        if isinstance(part := settings.get(group), dict):
            part |= {key: shortened(part[key]) for key in keys}
    return settings | ({"init": shortened(settings["init"])} if "init" in settings else {})


def explain(error: Exception, schema: type[Any] = Config, arguments: Sequence[str] = ()) -> str:
    """One line for whoever wrote the command line, of an error of Hydra, OmegaConf or YAML."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(error)
    if isinstance(error, OverrideParseException):
        return f"arguments must be KEY=VALUE, got {error.override!r}; put special characters in quotes: KEY=\"'a, b'\""
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
        return unknown_key(cause.full_key, schema)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"config {mark.name} must be YAML, got {error.problem!r} in line {mark.line + 1}; correct it"
    if several := next(filter(_lists_values, arguments), None):
        return f"several values must come with -m, got {several} without; add -m, or put a list in brackets"
    return " ".join(str(cause or error).split())


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"config must be a file of --config-dir or of the package, got {name!r}; check -cn and --config-dir"
    options = sorted(error.options or choices(group))
    hint = nearest(name, options) or _HINTS.get(group, "")
    return f"{group} must be one of {', '.join(options)}; got {name!r}{hint}"


def _lists_values(argument: str) -> bool:
    try:
        return OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return False
