"""Between Hydra and the schema: options and composed configs become a `Config`, and Hydra's errors one clear line."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from nst_jax.config.schema import Config
from nst_jax.errors import InputError
from nst_jax.system.records import parse_yaml

ConfigStore.instance().store(name="schema", node=Config)

# What a message calls a type of the schema.
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list[str]: "a list such as [relu1_1,relu2_1]",
    list[float] | None: "a list of numbers such as [1,0.5], or null",
    list[str] | None: "a list such as [sky.png,rest], or null",
    list[str | None] | None: "a list such as [sky.png,null], or null",
}
_HINTS = {
    "content": "; for a file of your own, content.path=FILE",
    "style": "; for a file of your own, style.path=FILE",
    "network": "; for parameters that you have converted, network.name=NAME",
    "hydra/launcher": '; submitit_slurm and submitit_local need pip install "nst_jax[cluster]", joblib "nst_jax[sweeps]"',
}


def make_config(options: Mapping[str, Any]) -> Config:
    """The config with the defaults and `options`, nested as the config is: `{"size": 256, "loss": {"style_weight": 10}}`.

    Raises:
        InputError: an unknown key or a value of the wrong type.

    Example:
        >>> make_config({"loss": {"style_weight": 10}}).loss.style_weight
        10.0
    """
    config = OmegaConf.structured(Config)
    for key, value in _flat(options):
        try:
            OmegaConf.update(config, key, _plain(value), merge=True)
        except OmegaConfBaseException as error:
            raise InputError(_misfit(key, value, error)) from error
    return as_config(config)


def as_config(composed: Any, schema: type[Any] = Config) -> Any:
    """A config as Hydra composes it, as a `Config`, or what else it is to be.

    Raises:
        InputError: a key that the schema does not have, or a reference (`${...}`) to one.
    """
    plain: Any = OmegaConf.to_container(composed)
    if isinstance(
        names := plain.get("style", {}).get("name"), dict
    ):  # as the files of the group have it, so that several are merged
        plain["style"]["name"] = next(iter(names)) if len(names) == 1 else list(names)
    for key, _ in _flat(plain):
        if key not in _keys(schema):
            raise InputError(_unknown(key, schema))
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), plain))
    except OmegaConfBaseException as error:
        raise InputError(explain(error, schema)) from error
    assert isinstance(config, schema)
    return config


def from_yaml(text: str, source: str) -> Config:
    """The config that `to_yaml` wrote; `source` is what messages call the text.

    Raises:
        InputError: it is no config, or one of a version with other keys.
    """
    values = parse_yaml(text, source)
    try:
        return as_config(OmegaConf.create(values))
    except InputError as error:
        raise InputError(f"{source} must be of this version of nst_jax: {error}") from error


def to_yaml(config: Any, *, record: bool = True) -> str:
    """The config as YAML; without its `run` section, which does not bear on the picture, if not `record`."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config) if record else settings_of(config)))


def settings_of(config: Any) -> dict[str, Any]:
    """The config as a mapping, without its `run` section, which does not bear on the picture."""
    plain = dataclasses.asdict(config)
    del plain["run"]
    return plain


def explain(error: Exception, schema: type[Any] = Config) -> str:
    """What an error of composing means for the one who wrote the command line, on one line."""
    text, cause = str(error), error.__cause__
    if missing := re.search(r"Could not find '((?:hydra/)?\w+)/([^']*)'", text):
        group, name = missing.groups()
        options = re.findall(r"^\t(\w+)$", text, re.MULTILINE)
        return f"{group} must be one of {', '.join(options)}; got {name!r}{_HINTS.get(group, '')}"
    if missing := re.search(r"Could not load '(\w+)/([^']*)'", text):  # one of a list
        group, name = missing.groups()
        return f"{group} must name configs of its group, got {name!r}; --help lists them{_HINTS.get(group, '')}"
    if unknown := re.match(r"Could not override '([^']*)'", text):
        return _unknown(unknown[1], schema)
    if misfit := re.match(r"Error merging override \W?\W?([\w.]+)=(.*)", text):
        return _misfit(misfit[1], misfit[2], cause if isinstance(cause, OmegaConfBaseException) else error, schema)
    if bad := re.match(r"Error parsing override '(.*)'\n(.*)", text):
        return f"arguments must be KEY=VALUE, got {bad[1]!r} ({bad[2]}); put special characters in quotes: KEY=\"'a, b'\""
    if several := re.match(r"Sweep parameters '(.*)' requires --multirun", text):
        return f"several values must come with -m, got {several[1]} without; add -m, or put a list in brackets"
    return " ".join(text.split())


def _flat(options: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys and values of nested mappings, the keys joined with points."""
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: Any) -> Any:
    """Tuples, and NumPy's arrays and scalars, as the lists and numbers that a config may hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _keys(schema: Any, prefix: str = "") -> dict[str, Any]:
    """Every key that can be set, with its type."""
    keys: dict[str, Any] = {}
    for field in dataclasses.fields(schema):
        nested = dataclasses.is_dataclass(field.type)
        keys |= _keys(field.type, f"{prefix}{field.name}.") if nested else {prefix + field.name: field.type}
    return keys


def _unknown(key: str, schema: type[Any] = Config) -> str:
    known = {field.name: field.name for field in dataclasses.fields(schema)} | {"experiment": "experiment"}
    known |= {full.rpartition(".")[2]: full for full in _keys(schema)} | {full: full for full in _keys(schema)}
    near = difflib.get_close_matches(key, known, n=3)
    near.sort(key=lambda name: name[0] != key[0])  # the first letter is seldom the wrong one
    advice = f"did you mean {known[near[0]]}?" if near else "--cfg job shows them all"
    return f"key must be one that the config has, got {key!r}; {advice}"


def _misfit(key: str, value: Any, error: Exception, schema: type[Any] = Config) -> str:
    if isinstance(error, ConfigKeyError | ConfigAttributeError):
        return _unknown(key, schema)
    if parts := [full for full in _keys(schema) if full.startswith(f"{key}.")]:
        return f"{key} must be set by its parts {', '.join(parts)}; got {value!r}"
    if key == "style.name":
        return f"style.name must be one name, got {value!r}; give several as style=[starry,shipwreck]"
    kind = _KINDS.get(_keys(schema).get(key))
    if kind is None or not isinstance(error, ValidationError):
        return f"{key} cannot be {value!r}: {str(error).splitlines()[0]}"
    return f"{key} must be {kind}, got {value!r}"
