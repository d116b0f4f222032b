"""`python -m nst_jax.replay result.png`: make a picture again from the record inside it, and compare the two byte for byte."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.replay")

from nst_jax.config.compose import check_imported, to_yaml
from nst_jax.config.schema import Config
from nst_jax.errors import InputError, printable
from nst_jax.images.files import WRITABLE, read_file, read_image, read_text, write_image
from nst_jax.runner.kinds import as_recorded, prepare, recorded_config
from nst_jax.runner.prepare import Prepared
from nst_jax.runs.diff import changes, describe_changes, difference
from nst_jax.runs.folder import FORMAT, RunFolder
from nst_jax.runs.manifest import CONFIG_TEXT, PROVENANCE_TEXT, end_manifest, in_start_directory, provenance
from nst_jax.runs.schema import Format, Provenance
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.records import parse_json

_ABOUT = """\
Makes the picture again from the settings inside it, with the pictures and network parameters whose hashes are there,
and compares the files. Exit code 0: the same picture. 1: another one, with the difference in numbers. 2: something to
mend, said in one line.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m nst_jax.replay", description=_ABOUT, formatter_class=form)
    parser.add_argument("picture", type=Path, help="the result of a run, in any format, or the run's folder")
    parser.add_argument("--content", metavar="FILE", help="where the content picture is now")
    parser.add_argument("--style", metavar="FILE", nargs="+", help="where the style picture is now, or all of them in order")
    parser.add_argument("--init", metavar="FILE", help="where the picture is now that the run started from")
    options = parser.parse_args(arguments)
    return run_cli(lambda: _replay(options))


def _replay(options: argparse.Namespace) -> int:
    picture = options.picture / "result.png" if options.picture.is_dir() else options.picture
    use_compilation_cache()
    same, report = replay(picture, content=options.content, style=options.style, init=options.init)
    print(printable(f"{picture}: {report}"))
    return 0 if same else 1


def replay(picture: Path, **files: str | list[str] | None) -> tuple[bool, str]:
    """Whether the picture comes out the same again, and what there is to say of it in one line.

    Args:
        picture: with a record inside.
        files: where the pictures are now, if not where the record says: `content`, `style`, `init`.

    Raises:
        InputError: no record, or pictures or parameters that are not those of the record.
    """
    settings, facts = _record(picture)
    config = _with_files(_located(recorded_config(settings, f"the record in {picture}"), picture.parent), files)
    check_imported(config, "record", "import them yourself and call nst_jax.replay.replay")
    with in_start_directory(_manifest_beside(picture)):
        prepared = as_recorded(_same_inputs(config, facts), facts.get("plan"))
    steps = int(facts["steps"])
    with tempfile.TemporaryDirectory() as folder:
        made = prepared.kind.execute(prepared, lambda at: at.step >= steps, (steps,), None, Path(folder))
        again = Path(folder) / f"result{picture.suffix if picture.suffix.lower() in WRITABLE else '.png'}"
        ended = {"steps": made.result.rows[-1]["step"], "seconds": {}, "recoveries": 0, "pixels": 1}
        manifest = end_manifest(prepared.begun, status="finished", **ended) | made.facts
        text = provenance(settings, manifest)
        write_image(again, made.result.pixels, text=text)
        if read_file(again) == read_file(picture):
            return True, "the same bytes again"
        return _compare(picture, again, changes(facts, json.loads(text[PROVENANCE_TEXT])))


def _record(picture: Path) -> tuple[str, dict[str, Any]]:
    read_image(picture)  # says what is wrong with a file that is none
    text = read_text(picture)
    if not text.keys() >= {CONFIG_TEXT, PROVENANCE_TEXT}:
        raise InputError(
            f"picture must carry the record of a run, got none in {picture}; give the result.png of a run, not an edited copy"
        )
    version = parse_json(Format, text[PROVENANCE_TEXT], f"the record in {picture}").get("format")
    if version != FORMAT:
        raise InputError(
            f"record of the picture must have the format {FORMAT}, got {version} in {picture};"
            f" use the version that wrote it, {text.get('Software', 'unknown')[:40]}"
        )
    return text[CONFIG_TEXT], parse_json(Provenance, text[PROVENANCE_TEXT], f"the record in {picture}")


def _manifest_beside(picture: Path) -> dict[str, Any] | None:
    """That of the run, if the picture is still in its folder."""
    try:
        return RunFolder(picture.parent).read_manifest()
    except InputError:
        return None


def _located(config: Any, folder: Path) -> Any:
    """The config with whole paths from config.yaml in `folder`, if that is of the same run: the picture has file names only."""
    try:
        beside = recorded_config(RunFolder(folder).read_config(), f"config.yaml in {folder}")
    except InputError:
        return config
    same = to_yaml(beside, record=False) == to_yaml(config, record=False)
    return replace(beside, run=config.run) if same else config


def _with_files(config: Any, files: dict[str, Any]) -> Any:
    place = lambda file: os.path.abspath(os.path.expanduser(file))  # noqa: E731
    if (files["style"] or files["init"]) and not isinstance(config, Config):
        raise InputError(f"--style and --init must be left out for an {config.kind}; give --content alone")
    if files["content"]:
        config = replace(config, content=replace(config.content, path=place(files["content"])))
    if files["style"]:
        styles = [place(style) for style in files["style"]]
        config = replace(config, style=replace(config.style, path=styles[0] if len(styles) == 1 else styles))
    return replace(config, init=place(files["init"])) if files["init"] else config


def _same_inputs(config: Any, facts: dict[str, Any]) -> Prepared:
    """The job of the record, with the very pictures and parameters of the record."""
    wanted = ", ".join(f"{role} has sha256 {sha256}" for role, sha256 in facts["inputs"].items())
    try:
        prepared = prepare(config)
    except InputError as error:
        if not str(error).startswith("image "):
            raise
        raise InputError(f"{error}, or name the file by --content, --style or --init ({wanted})") from error
    for role, sha256 in facts["inputs"].items():
        now = prepared.begun["inputs"].get(role, {"source": "nothing", "sha256": None})
        if now["sha256"] != sha256:
            raise InputError(
                f"{role} must be the picture with sha256 {sha256}, got {now['source']} with {now['sha256']};"
                " name the right file by --content, --style or --init"
            )
    if prepared.begun["params"]["sha256"] != facts["params"]:
        raise InputError(
            f"network parameters must have sha256 {facts['params']}, got {prepared.begun['params']['sha256']}"
            f" under the name {prepared.begun['params']['name']}; fetch or convert the ones of the run"
        )
    return prepared


def _compare(picture: Path, again: Path, environment: dict[str, tuple[Any, Any]]) -> tuple[bool, str]:
    before, now = read_image(picture).pixels, read_image(again).pixels
    where = describe_changes({key.removeprefix("versions."): both for key, both in environment.items()}) or "nothing"
    if before.shape != now.shape:
        return False, f"another picture: {now.shape[2]}x{now.shape[1]} instead of {before.shape[2]}x{before.shape[1]}"
    if (before == now).all():
        return True, f"the same pixels again, in another file; what differs in the record: {where}"
    apart = difference(before, now)
    numbers = f"mean difference {apart['mean']:.2g}, largest {apart['largest']:.2g} (of 1), PSNR {apart['psnr']:.1f} dB"
    return False, f"another picture: {numbers}; what differs in the record: {where}"


if __name__ == "__main__":
    sys.exit(main())
