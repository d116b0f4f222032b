"""The history: the run folders of the studio, newest first."""

from pathlib import Path
from typing import Any, NamedTuple

from nst_jax.errors import InputError
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.query import find_runs, summarize
from nst_jax.studio import look as looks
from nst_jax.studio.folder import StudioFolder

_MOST = 200  # in the gallery


class Entry(NamedTuple):
    """A run that has a picture.

    Attributes:
        name: of the run, in the studio.
        picture: its file.
        caption: the pictures it was made of, its size and how it stands.
    """

    name: str
    picture: Path
    caption: str


def entries(folder: StudioFolder, search: str = "") -> list[Entry]:
    """The runs whose settings or captions have all words of `search`."""
    found: list[Entry] = []
    wanted = search.lower().split()
    for run in find_runs([folder.runs]):
        if not run.result.exists():
            continue
        caption = _caption(summarize(run))
        text = f"{caption} {command_line(run.path)} {_settings(run.path)}".lower() if wanted else ""
        if all(word in text for word in wanted):
            found.append(Entry(folder.name_of(run.path), run.result, caption))
        if len(found) == _MOST:
            break
    return found


def command_line(run: Path) -> str:
    """The command that makes the picture of a run again."""
    if found := looks.read(run):
        try:
            return looks.command(looks.words(*found))
        except InputError:  # of another version
            pass
    return f"nst-jax replay {run}"


def photo_of(run: Path) -> Path | None:
    """The photograph of a run, as its folder keeps it."""
    file = run / "inputs" / "content.jpg"
    return file if file.exists() else None


def _caption(facts: dict[str, Any]) -> str:
    size = f"{facts['size']} px" if facts.get("size") else ""
    status = "" if facts["status"] == "finished" else str(facts["status"])
    return " · ".join(part for part in (f"{facts['content']} × {facts['style']}", size, status) if part)


def _settings(run: Path) -> str:
    try:
        return RunFolder(run).read_config()
    except InputError:
        return ""
