"""Optical flow between two frames: by OpenCV, or from .flo files."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from nst_jax.errors import InputError
from nst_jax.types import Pixels
from nst_jax.video.config import FlowConfig

Flow = Float[np.ndarray, "h w 2"]


def optical_flow(frame: Pixels, other: Pixels, numbers: tuple[int, int], config: FlowConfig) -> Flow:
    """The flow from a frame to another one: the way (dx, dy) of each pixel, in pixels.

    Args:
        frame: sRGB in [0, 1].
        other: of the same size.
        numbers: of the two frames in the film, for `read_flow`.
        config: the method, or where the files are.

    Raises:
        InputError: no OpenCV, or no such file.
    """
    height_width = (frame.shape[1], frame.shape[2])
    if config.path is not None:
        return read_flow(Path(config.path), numbers, height_width)
    found = _method(config.method).calc(_gray(frame), _gray(other), None)
    return np.ascontiguousarray(found, np.float32)


def check_flow(config: FlowConfig) -> None:
    """Raises InputError if flow cannot be had: no OpenCV (which reads .flo files, too), or no such folder."""
    if find_spec("cv2") is None:
        raise InputError('films must have OpenCV for their optical flow, got none; install it: pip install "nst-jax[video]"')
    if config.path is not None and not Path(config.path).is_dir():
        raise InputError(f"flow.path must be a folder of .flo files, got {config.path}; check the path")
    if config.path is None:
        _method(config.method)


@cache
def _method(name: str) -> Any:
    import cv2

    try:
        return {
            "dis": lambda: cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
            "deepflow": lambda: cv2.optflow.createOptFlow_DeepFlow(),
            "tvl1": lambda: cv2.optflow.createOptFlow_DualTVL1(),
        }[name]()
    except AttributeError as error:
        raise InputError(
            f"flow.method={name} must have OpenCV with its contributed modules, got one without;"
            " pip install opencv-contrib-python-headless"
        ) from error


def _gray(pixels: Pixels) -> UInt8[np.ndarray, "h w"]:
    return np.uint8(np.rint(255 * np.clip(pixels[0], 0, 1) @ np.array((0.299, 0.587, 0.114), np.float32)))  # pyright: ignore


def flow_file(folder: Path, numbers: tuple[int, int]) -> Path:
    """Where the flow between two frames is: `forward_A_B.flo` or `backward_B_A.flo`, A before B, counted from 1.

    These are the names that artistic-videos gives them.

    Raises:
        InputError: there is no such file.
    """
    first, second = (number + 1 for number in numbers)
    file = folder / f"{'forward' if first < second else 'backward'}_{first}_{second}.flo"
    if not file.is_file():
        raise InputError(f"flow.path must hold {file.name}, got no such file in {folder}; compute it first")
    return file


def read_flow(folder: Path, numbers: tuple[int, int], height_width: tuple[int, int]) -> Flow:
    """The flow between two frames from `flow_file`. A flow of another size is brought to that of the frames.

    Raises:
        InputError: there is no such file, or it holds no flow.
    """
    import cv2

    file = flow_file(folder, numbers)
    found = cv2.readOpticalFlow(str(file))
    if found is None or found.ndim != 3 or not np.isfinite(found).all():
        raise InputError(f"flow.path must hold {file.name} of the Middlebury format, got a damaged file; compute it again")
    height, width = height_width
    scale = np.array((width / found.shape[1], height / found.shape[0]), np.float32)
    resized = found if found.shape[:2] == height_width else cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized * scale, np.float32)
