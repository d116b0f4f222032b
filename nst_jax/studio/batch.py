"""The tab for many photographs: one look, a run for each, and the pictures in a folder."""

import shutil
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.files import READABLE
from nst_jax.studio.controls import Controls, chosen_look
from nst_jax.studio.look import Look
from nst_jax.studio.shared import PRIVATE, QUIET, Studio, gr, said
from nst_jax.studio.texts import label, say


def batch_tab(studio: Studio, controls: Controls) -> None:
    """Draws the tab and connects it."""
    gr.Markdown(label("batch_info"))
    photos = gr.File(
        label=label("batch_photos"), file_count="multiple", file_types=[*READABLE], elem_id="batch_photos", height=160
    )
    form = gr.Radio([("PNG", "png"), ("JPEG", "jpeg"), ("WebP", "webp"), ("AVIF", "avif"), ("TIFF", "tiff")],
                    value="png", label=label("batch_format"), elem_id="batch_format")  # fmt: skip
    with gr.Row():
        start = gr.Button(label("batch_start"), variant="primary", elem_id="batch_start")
        stop = gr.Button(label("batch_stop"), variant="stop", interactive=False, elem_id="batch_stop")
        download = gr.DownloadButton(label("batch_download"), interactive=False, elem_id="batch_download")
    status = gr.Markdown(elem_id="batch_status")
    results = gr.Gallery(
        label=label("batch_results"), columns=4, height=360, interactive=False, buttons=["fullscreen"], preview=False
    )
    batch, timer = gr.State(""), gr.Timer(2.0, active=False)
    outputs = [batch, results, status, stop, download, timer]

    def begin(values: dict[Any, Any], request: gr.Request) -> list[Any]:
        if not values[photos]:
            raise InputError(say(request, "need_photo"))
        if values[controls.painting] is None:
            raise InputError(say(request, "need_painting"))
        look = chosen_look(studio, controls, {**values, controls.regions.use: False})
        name, failed = start_batch(studio, values[photos], look, values[form])
        for line in failed:
            gr.Warning(line)
        return _state(studio, name, request)

    def halt(name: str, request: gr.Request) -> list[Any]:
        for run in _runs(studio, name):
            studio.worker.stop(run)
        return _state(studio, name, request)

    def tick(name: str, request: gr.Request) -> list[Any]:
        return _state(studio, name, request)

    start.click(said(begin), {photos, form} | controls.look, outputs, **PRIVATE)
    stop.click(halt, batch, outputs, **QUIET)
    timer.tick(tick, batch, outputs, **QUIET)


def start_batch(studio: Studio, photos: list[str], look: Look, form: str = "png") -> tuple[str, list[str]]:
    """Puts a run for each photograph into the queue.

    Returns:
        The name of the batch, and a sentence about each photograph that cannot be painted.
    """
    name = studio.folder.new_batch()
    output = studio.folder.batches / name
    failed: list[str] = []
    for file in map(Path, photos):
        try:
            kept = studio.folder.keep(file)
            run = studio.folder.new_run(f"{name}/{kept.stem}")
            studio.worker.submit(kept, look, f"{output}/{run.name}.{form}", run)
        except InputError as error:
            failed.append(f"{file.name}: {error}")
    return name, failed


def _runs(studio: Studio, name: str) -> list[str]:
    return [studio.folder.name_of(config.parent) for config in sorted((studio.folder.runs / name).glob("*/config.yaml"))]


def _state(studio: Studio, name: str, request: gr.Request) -> list[Any]:
    """How the batch stands, for `outputs`."""
    jobs = [studio.worker.find(run) for run in _runs(studio, name)]
    done = [job for job in jobs if job.state == "finished"]
    lines = [say(request, "say_batch", done=len(done), all=len(jobs))]
    lines += [f"* {job.run.path.name}: {job.error}" for job in jobs if job.state == "failed"]
    is_open = any(job.is_open for job in jobs)
    pictures = [(str(studio.folder.thumbnail(job.run.result)), job.run.path.name) for job in done]
    archive = _archive(studio, name) if done and not is_open else None
    return [name, pictures, "\n".join(lines), gr.update(interactive=is_open),
            gr.update(interactive=archive is not None, value=archive), gr.update(active=is_open)]  # fmt: skip


def _archive(studio: Studio, name: str) -> str:
    return shutil.make_archive(str(studio.folder.live / f"batch-{name}"), "zip", studio.folder.batches / name)
