"""A node for ComfyUI: repaints an image in the style of another by a studio that runs on this machine.

Copy this file into ComfyUI's `custom_nodes/`, start `nst-jax studio`, and restart ComfyUI; the node is "Style transfer
(nst_jax)" under image/stylize. It needs nothing beyond what ComfyUI has: it speaks to the studio's endpoints over HTTP (see
docs/studio.md).
"""

import io
import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import numpy as np
from PIL import Image

_TIMEOUT = 120.0  # seconds for one answer of the studio
_PAUSE = 0.5  # seconds between questions


class StyleTransfer:
    """An image, repainted in the style of a painting."""

    CATEGORY = "image/stylize"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "paint"
    DESCRIPTION = "Repaints an image in the style of another one, by nst-jax studio on this machine."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "photo": ("IMAGE",),
                "painting": ("IMAGE",),
                "strength": ("INT", {"default": 50, "min": 0, "max": 100}),
                "stroke": ([0.5, 0.75, 1.0, 1.5], {"default": 1.0}),
                "size": ([256, 384, 1024, 2048], {"default": 384}),
                "colors": (["style", "luminance", "match"],),
                "preset": (["quality", "fast", "photo", "texture", "gatys2016"],),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**31 - 1}),
                "address": ("STRING", {"default": "http://127.0.0.1:7860"}),
            }
        }

    def paint(self, photo: Any, painting: Any, address: str, **settings: Any) -> tuple[Any]:
        """Every image of the batch, repainted one after the other.

        Args:
            photo: [b, h, w, 3] in [0, 1].
            painting: likewise; the first one counts.
            address: of the studio.
            **settings: those of the endpoint /start.

        Returns:
            Images of the size that was asked for, [b, h, w, 3].

        Raises:
            RuntimeError: the studio cannot be reached, or the run has failed; its sentence says why.
        """
        import torch

        studio = Studio(address)
        style = studio.upload(np.asarray(painting[0]))
        made = [studio.paint(studio.upload(np.asarray(image)), style, settings) for image in photo]
        return (torch.from_numpy(np.stack(made)),)


class Studio:
    """The endpoints of `nst-jax studio`, which are Gradio's."""

    def __init__(self, address: str) -> None:
        self.base = f"{address.rstrip('/')}/gradio_api"

    def paint(self, photo: dict[str, Any], painting: dict[str, Any], settings: dict[str, Any]) -> np.ndarray:
        """The picture of an uploaded photo and painting, [h, w, 3] in [0, 1]; stopped if ComfyUI is."""
        names = ("strength", "stroke", "size", "colors", "preset", "seed")
        run = self._call("start", photo, painting, *(settings[name] for name in names))
        show = _progress_bar()
        try:
            while (now := self._call("progress", run))["state"] in ("waiting", "running"):
                show(now["step"], now["steps"])
                time.sleep(_PAUSE)
        except BaseException:  # such as ComfyUI's own of a run that its user has cancelled
            self._call("stop", run)
            raise
        if now["state"] != "finished":
            raise RuntimeError(f"nst-jax studio: {now['error'] or now['state']}")
        data = self._ask(f"{self.base}/file={self._call('result', run)['path']}")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) / 255

    def upload(self, image: np.ndarray) -> dict[str, Any]:
        """Gives the studio an image, [h, w, 3] in [0, 1]; returns how the endpoints name it."""
        png, boundary = io.BytesIO(), uuid.uuid4().hex
        Image.fromarray(np.round(np.clip(image[..., :3], 0, 1) * 255).astype(np.uint8)).save(png, format="PNG")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="image.png"\r\n\r\n'
        body = head.encode() + png.getvalue() + f"\r\n--{boundary}--\r\n".encode()
        answer = self._ask(f"{self.base}/upload", body, f"multipart/form-data; boundary={boundary}")
        return {"path": json.loads(answer)[0], "meta": {"_type": "gradio.FileData"}}

    def _call(self, endpoint: str, *arguments: Any) -> Any:
        """The answer of an endpoint."""
        body = json.dumps({"data": arguments}).encode()
        event = json.loads(self._ask(f"{self.base}/call/{endpoint}", body, "application/json"))["event_id"]
        said = self._ask(f"{self.base}/call/{endpoint}/{event}").decode()
        kind, data = said.strip().split("\n\n")[-1].split("\n", 1)
        answer = json.loads(data.removeprefix("data: ") or "null")
        if kind != "event: complete":
            raise RuntimeError(f"nst-jax studio: {(answer or {}).get('error') if isinstance(answer, dict) else answer}")
        return answer[0]

    def _ask(self, url: str, body: bytes | None = None, form: str = "") -> bytes:
        headers = {"Content-Type": form} if form else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=_TIMEOUT) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"nst-jax studio: {error.read().decode(errors='replace')[:200]}") from error
        except OSError as error:
            where = self.base.removesuffix("/gradio_api")
            raise RuntimeError(f"nst-jax studio must run at {where}, got {error}; start it: nst-jax studio") from error


def _progress_bar() -> Any:
    """A function of the step and the steps that shows them in ComfyUI, and raises there when its user cancels."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:  # outside of ComfyUI
        return lambda step, steps: None
    bar = ProgressBar(1)

    def show(step: int, steps: int) -> None:
        bar.update_absolute(step, max(steps, 1))
        throw_exception_if_processing_interrupted()

    return show


NODE_CLASS_MAPPINGS = {"NstJaxStyleTransfer": StyleTransfer}
NODE_DISPLAY_NAME_MAPPINGS = {"NstJaxStyleTransfer": "Style transfer (nst_jax)"}
