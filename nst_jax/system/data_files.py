"""Where the data files lie that ship with the package: configs and network weights."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The folder `name` ("configs" or "weights"): beside the package in a checkout, inside it when installed from a wheel."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
