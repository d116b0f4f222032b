"""One member of a sweep: its config as Hydra composes it, the name of its folder, and its run, which records how it ended."""

import copy
import hashlib
import re
import sys
import traceback
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import open_dict

from nst_jax.config.compose import as_config, from_yaml, import_modules, to_yaml
from nst_jax.config.schema import Config
from nst_jax.errors import InputError, printable
from nst_jax.job import Result
from nst_jax.runner.prepare import PREVIOUS
from nst_jax.runner.resume import resume
from nst_jax.runner.run import print_summary, run
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder, check_name
from nst_jax.system.cli import log_on_stderr
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.video.config import VideoConfig

# By name of the config in the package; all others are of a `Config`.
SCHEMAS = {"video": VideoConfig}
_MAX_NAME = 100  # bytes of a folder's name


class Member(NamedTuple):
    """A member of a sweep.

    Attributes:
        number: its number in the sweep.
        folder: the name of its folder there.
        overrides: its settings, as on a command line.
        config: what Hydra composes from them, with the folder as `run.dir`.
    """

    number: int
    folder: str
    overrides: list[str]
    config: Config

    @property
    def sha256(self) -> str:
        """The hash of all settings that bear on the picture."""
        return hashlib.sha256(to_yaml(self.config, record=False).encode()).hexdigest()


class SweepComposer:
    """Composes the members of a sweep as `ConfigLoader.load_sweep_config` does, the presets of a choice only once.

    Hydra takes 0.2 seconds to look up and merge presets, and 0.01 to change values in a copy of the result.

    Args:
        loader: of Hydra.
        master: the config of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: Any) -> None:
        self._loader: Any = loader
        self._master = master
        self._presets: dict[tuple[str, ...], Any] = {}

    def __call__(self, overrides: Sequence[str]) -> Any:
        """Composes the config of a member, with Hydra's own section, from its settings as on a command line."""
        parsed = OverridesParser.create(config_loader=self._loader).parse_overrides(list(overrides))
        presets = tuple(o.input_line or "" for o in parsed if self._decides_presets(o))
        if presets not in self._presets:
            self._presets[presets] = self._loader.load_sweep_config(self._master, list(presets))
        composed = copy.deepcopy(self._presets[presets])
        ConfigLoaderImpl._apply_overrides_to_config([o for o in parsed if not self._decides_presets(o)], composed)
        own = [o for o in parsed if not o.is_hydra_override()]
        lines = composed.hydra.overrides
        lines.task = [o.input_line for o in own]
        lines.hydra = [*self._master.hydra.overrides.hydra, *(o.input_line for o in parsed if o.is_hydra_override())]
        composed.hydra.job.override_dirname = get_overrides_dirname(own, **composed.hydra.job.config.override_dirname)
        return composed

    def _decides_presets(self, override: Override) -> bool:
        """Whether it chooses files of configs, or where they are, instead of giving a value."""
        key = override.key_or_group
        return key == "hydra.searchpath" or (
            not isinstance(override.value(), dict) and self._loader.repository.group_exists(key)
        )


def compose_member(
    compose: SweepComposer,
    sweep: Path,
    overrides: Sequence[str],
    number: int,
    swept: Collection[str] = (),
    folder: str | None = None,
) -> Member:
    """Composes a member.

    Args:
        compose: of the sweep.
        sweep: the folder of the sweep.
        overrides: the member's settings.
        number: its number.
        swept: the keys of the swept settings; if the pictures are among them, the folder is named after the member's.
        folder: the name of its folder, if it has one already.

    Raises:
        InputError: an unknown setting, or one that a member cannot have.
    """
    composed = compose(overrides)
    with open_dict(composed):
        composed.hydra.job.id, composed.hydra.job.num = str(number), number
    subdir = str(composed.hydra.sweep.subdir)
    schema = _schema(composed.hydra)
    with open_dict(composed):
        del composed["hydra"]
    config = as_config(composed, schema)
    folder = folder or _folder_name(subdir, config, number, swept)
    return Member(number, folder, list(overrides), in_folder(config, sweep / folder))


def _schema(hydra: Any) -> type[Any]:
    """That of the config that Hydra composes: transfers, or films."""
    return SCHEMAS.get(str(hydra.job.config_name), Config)


def _folder_name(subdir: str, config: Config, number: int, swept: Collection[str]) -> str:
    """`hydra.sweep.subdir` as a plain name; if that is the number alone, with the names of the pictures that vary."""
    if subdir == str(number):
        style = config.style.path or config.style.name
        pictures = {
            "content": [config.content.path or config.content.name],
            "style": style if isinstance(style, list) else [style],
            "init": [config.init],
        }
        varying = [role for role in pictures if {role, f"{role}.path", f"{role}.name"} & {*swept}]
        subdir = "-".join([subdir, *(Path(str(source)).stem for role in varying for source in pictures[role])])
    name = re.sub(r"[/\\:\x00-\x1f\x7f]+", "_", subdir).lstrip("._")
    name = name.encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore").rstrip(" .")
    try:
        return check_name(name)
    except ValueError:
        return str(number)


def in_folder(config: Config, path: Path) -> Config:
    """The config of a member whose folder is `path`."""
    if config.run.dir is not None:
        raise InputError(f"run.dir must not be set with -m, got {config.run.dir!r}; set hydra.sweep.dir for the whole sweep")
    if config.scale.hosts == "auto":
        raise InputError("scale.hosts must be off with -m, got 'auto'; start each run with its own processes, or sweep on one")
    return replace(config, run=replace(config.run, dir=str(path)))


def run_member(composed: Any) -> None:
    """Runs the member that Hydra has composed, in whichever process its launcher started. A failure is recorded, not raised."""
    hydra = HydraConfig.get()
    sweep, number = SweepFolder(Path(hydra.sweep.dir)), int(hydra.job.num)
    run_numbered(sweep, number, in_folder(as_config(composed, _schema(hydra)), sweep.member(number).path))


def run_numbered(sweep: SweepFolder, number: int, config: Config) -> None:
    """Runs a member, or resumes it where a killed process left it. A failure is recorded, not raised."""
    use_compilation_cache()
    try:
        with log_on_stderr():  # this process may be a launcher's
            folder, outcome = _run_or_resume(_warm_started(config, sweep, number))
    except Exception as error:
        failed(sweep, number, error)
    else:
        ended(sweep, number, folder, outcome, quiet=config.run.quiet)
        if outcome and outcome.stopped:
            raise KeyboardInterrupt  # ends the sweep


def _warm_started(config: Config, sweep: SweepFolder, number: int) -> Config:
    """With `init=previous`, the config that starts from the result of the preceding member; the first starts as by default."""
    if config.init != PREVIOUS:
        return config
    return replace(config, init=str(sweep.member(number - 1).result) if number else Config.init)


def _run_or_resume(config: Config) -> tuple[RunFolder, Result | None]:
    folder = RunFolder(Path(str(config.run.dir)))
    if not (folder.path / "config.yaml").exists():
        return run(config, pages=False)
    begun = from_yaml(folder.read_config(), f"config.yaml in {folder.path}", [type(config)])
    if to_yaml(begun, record=False) != to_yaml(config, record=False):
        raise InputError(
            f"config.yaml in {folder.path} must hold the settings of this member, got others; restore it, or remove that folder"
        )
    import_modules(config.imports)
    return resume(folder.path, pages=False)


def ended(sweep: SweepFolder, number: int, folder: RunFolder, outcome: Result | None, *, quiet: bool) -> None:
    """Records that a member has a picture, and prints where; `outcome` is None if it had one before."""
    sweep.note(number, "interrupted" if outcome and outcome.stopped else "done")
    if outcome:
        print_summary(folder, outcome, quiet)


def failed(sweep: SweepFolder, number: int, error: Exception) -> None:
    """Records and prints why a member has no picture, with a traceback unless the user can fix it."""
    message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    reason = printable(" ".join(message.split()))
    if not isinstance(error, InputError):
        traceback.print_exception(error)
    sweep.note(number, "failed", reason)
    print(f"error: member {number} of the sweep failed: {reason}", file=sys.stderr, flush=True)
