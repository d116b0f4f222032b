"""Scores of the members of a sweep by held-out networks, summed to one number; lower is better."""

from collections.abc import Mapping

import numpy as np

from nst_jax.config.compose import from_yaml
from nst_jax.config.schema import Config
from nst_jax.errors import InputError, check_one_of
from nst_jax.evaluate import scores
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.runner.prepare import read_picture, specify
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.types import Pixels


def factors_of(score: str) -> dict[str, float]:
    """Parses a score, a sum of names of `nst_jax.evaluate.scores` with factors.

    Raises:
        InputError: a factor is not a number.

    Example:
        >>> factors_of("lpips_alex+0.25*style_w2_vgg16")
        {'lpips_alex': 1.0, 'style_w2_vgg16': 0.25}
    """
    parts = [part.rpartition("*") for part in score.split("+") if part]
    try:
        return {name.strip(): float(factor or 1) for factor, _, name in parts}
    except ValueError as error:
        raise InputError(
            f"hydra.sweeper.score must be a sum such as lpips_alex+0.25*style_w2_vgg16, got {score!r}; check its factors"
        ) from error


def check_score(config: Config, score: str) -> None:
    """Scores the content at the size of the result, so that errors appear before anything runs.

    Args:
        config: of a member.
        score: see `factors_of`; an empty one is not checked.

    Raises:
        InputError: an unknown score, a result too small for the networks, or a missing package.
    """
    if not score:
        return
    content, style = _pictures(config)
    size = fit_long_side(content.shape[1], content.shape[2], specify(config).scales[-1].size)
    _total(scores(content, style, np.clip(resize(content, size), 0, 1)), score)


def score_members(sweep: SweepFolder) -> dict[int, float]:
    """Scores the finished members, writes the scores to their manifests, and returns them by number; {} without a score."""
    record, found = sweep.read(), dict[int, float]()
    score = record["score"]
    for number, member in enumerate(record["members"]):
        if score and member["status"] == "done":
            folder = RunFolder(sweep.path / member["folder"])
            manifest = folder.read_manifest()
            if "scores" not in manifest:
                manifest["scores"] = _scored(folder, score)
                folder.write_manifest(manifest)
            found[number] = manifest["scores"]["score"]
    return found


def _scored(folder: RunFolder, score: str) -> dict[str, float]:
    content, style = _pictures(from_yaml(folder.read_config(), f"config.yaml in {folder.path}"))
    found = scores(content, style, read_image(folder.result).pixels)
    return {"score": _total(found, score)} | found


def _total(found: Mapping[str, float], score: str) -> float:
    known = tuple(found)
    return sum(factor * found[check_one_of("hydra.sweeper.score", name, known)] for name, factor in factors_of(score).items())


def _pictures(config: Config) -> tuple[Pixels, Pixels]:
    """The content and the first style."""
    return read_picture(config.content).pixels, read_picture(config.style.pictures[0]).pixels
