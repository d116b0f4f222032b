"""The endpoints for other programs, by `gradio_client` or HTTP: start, progress, result, stop, continue."""

from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.studio import look as looks
from nst_jax.studio.controls import Controls
from nst_jax.studio.look import Look
from nst_jax.studio.shared import Studio, gr, said


def endpoints(studio: Studio, controls: Controls) -> None:
    """Adds the endpoints to the page; they have no place in it."""
    run, facts, file = gr.Textbox(visible=False), gr.JSON(visible=False), gr.File(visible=False)
    look = [controls.plain[name] for name in ("strength", "stroke", "size", "colors", "preset", "seed")]

    def start(photo: str, painting: str, strength: float, stroke: float, size: int, colors: str, preset: str, seed: int) -> str:
        """Starts a run; returns its name."""
        if not photo or not painting:
            raise InputError("photo and painting must be pictures, got none; give both")
        files = [str(studio.folder.keep(Path(file))) for file in (photo, painting)]
        chosen = Look(looks.as_word(Path(files[1])), strength, stroke, size, colors, preset, seed)
        return studio.worker.submit(Path(files[0]), chosen).name

    def progress(run: str) -> dict[str, Any]:
        """How a run stands: state, step, steps, size, loss, seconds_left, error."""
        job = studio.worker.find(run)
        return {key: getattr(job, key) for key in ("state", "step", "steps", "size", "loss", "seconds_left", "error")}

    def result(run: str) -> str:
        """The picture of a run, as far as it is."""
        job = studio.worker.find(run)
        if job.picture is None:
            raise InputError(f"run must have made a step, got {run!r}, which has not; ask again later")
        return str(job.picture)

    def stop(run: str) -> dict[str, Any]:
        """Ends a run with the picture so far."""
        studio.worker.stop(run)
        return progress(run)

    def go_on(run: str) -> dict[str, Any]:
        """Continues a run that was stopped."""
        studio.worker.go_on(run)
        return progress(run)

    _endpoint(start, [controls.photo, controls.painting, *look], run, "start")
    _endpoint(progress, run, facts, "progress")
    _endpoint(result, run, file, "result")
    _endpoint(stop, run, facts, "stop")
    _endpoint(go_on, run, facts, "continue")


def _endpoint(handler: Any, inputs: Any, outputs: Any, name: str) -> None:
    gr.Button(visible=False).click(said(handler), inputs, outputs, api_name=name, api_description=handler.__doc__)
