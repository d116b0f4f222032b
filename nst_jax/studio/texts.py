"""Every text of the page, in English and Spanish; what the settings mean is said in English by the help of `nst-jax run`.

Labels are translated in the browser, by its language; what is said of a run by the server, in the language that the browser
asks for.
"""

from typing import Any

from nst_jax.studio import look as looks
from nst_jax.studio.shared import gr

# Name -> English, Spanish.
TEXTS = {
    # The page.
    "about": ("Repaint a photograph in the style of a painting. Everything stays on this computer.",
              "Repinta una fotografía con el estilo de un cuadro. Todo se queda en este ordenador."),
    "tab_paint": ("Paint", "Pintar"),
    "tab_batch": ("Many photographs", "Muchas fotografías"),
    "tab_film": ("Film", "Película"),
    "tab_history": ("History", "Historial"),
    # The two pictures.
    "photo": ("Photograph", "Fotografía"),
    "painting": ("Painting", "Cuadro"),
    "drop": ("Drop a picture here, paste one, or click to choose", "Suelta aquí una imagen, pégala, o haz clic para elegirla"),
    "shelf": ("Or choose a painting", "O elige un cuadro"),
    # The plain controls.
    "strength": ("Strength", "Intensidad"),
    "strength_info": ("Low keeps the photograph, high leaves little of it",
                      "Baja conserva la fotografía, alta deja poco de ella"),
    "stroke": ("Stroke size", "Tamaño del trazo"),
    "stroke_0.5": ("Fine", "Fino"),
    "stroke_0.75": ("Medium", "Medio"),
    "stroke_1.0": ("Natural", "Natural"),
    "stroke_1.5": ("Large", "Grande"),
    "size": ("Size", "Tamaño"),
    "size_256": ("Sketch, 256 px", "Boceto, 256 px"),
    "size_384": ("Preview, 384 px", "Vista previa, 384 px"),
    "size_1024": ("Screen, 1024 px", "Pantalla, 1024 px"),
    "size_2048": ("Print, 2048 px", "Impresión, 2048 px"),
    "colors": ("Colors", "Colores"),
    "colors_style": ("The painting's", "Del cuadro"),
    "colors_luminance": ("The photograph's", "De la fotografía"),
    "colors_locked": ("The painting's, placed as in the photograph", "Del cuadro, puestos como en la fotografía"),
    "colors_match": ("The painting's, matched", "Del cuadro, ajustados"),
    "preset": ("Manner", "Manera"),
    "preset_quality": ("Painting", "Pintura"),
    "preset_fast": ("Quick sketch", "Boceto rápido"),
    "preset_portrait": ("Portrait", "Retrato"),
    "preset_drawing": ("Drawing of lines", "Dibujo de líneas"),
    "preset_photo": ("Close to the photograph", "Fiel a la fotografía"),
    "preset_poster": ("For 1024 px and more", "Para 1024 px y más"),
    "preset_texture": ("Texture alone", "Sólo textura"),
    "preset_gatys2016": ("Gatys 2016", "Gatys 2016"),
    "seed": ("Variation", "Variación"),
    "seed_info": ("Another number, another noise to start from", "Otro número, otro ruido inicial"),
    "more": ("More settings", "Más ajustes"),
    "more_info": ("Empty fields are what the manner above says.", "Los campos vacíos son los de la manera elegida."),
    # Regions.
    "regions": ("Regions", "Regiones"),
    "regions_info": (
        "Paint a region with a brush, and say what happens to it. Each color is a region.",
        "Pinta una región con un pincel y di qué pasa con ella. Cada color es una región.",
    ),
    "regions_load": ("Paint regions on the photograph", "Pintar regiones en la fotografía"),
    "regions_grow": ("Grow my strokes to what they mark", "Extender mis trazos a lo que señalan"),
    "regions_use": ("Use these regions", "Usar estas regiones"),
    "region_1": ("Red region", "Región roja"),
    "region_2": ("Blue region", "Región azul"),
    "region_3": ("Green region", "Región verde"),
    "region_rest": ("Everything else", "Todo lo demás"),
    "region_paint": ("The painting above", "El cuadro de arriba"),
    "region_leave": ("Leave as it is", "Dejar como está"),
    "feather": ("Soft edges, pixels", "Bordes suaves, píxeles"),
    "invert": ("Everything but what is painted", "Todo menos lo pintado"),
    # Actions.
    "start": ("Paint", "Pintar"),
    "stop": ("Stop", "Parar"),
    "go_on": ("Continue", "Continuar"),
    "from_here": ("Start from the picture shown", "Empezar desde la imagen mostrada"),
    "result": ("Picture", "Imagen"),
    "compare": ("Photograph and picture", "Fotografía e imagen"),
    "command": ("The same from a command line", "Lo mismo desde la línea de órdenes"),
    "download": ("Download", "Descargar"),
    "tiff": ("TIFF", "TIFF"),
    # The film.
    "film_info": (
        "Paint a film without flicker. Choose the look on one of its frames in the first tab, then paint the film here.",
        "Pinta una película sin parpadeo. Elige el aspecto sobre un fotograma en la primera pestaña y píntala aquí.",
    ),
    "film_file": ("Film", "Película"),
    "film_frame": ("Frame", "Fotograma"),
    "film_look": ("Choose the look on this frame", "Elegir el aspecto en este fotograma"),
    "film_trial": ("Only the first 10 frames, as a trial", "Sólo los 10 primeros fotogramas, como prueba"),
    "film_start": ("Paint the film", "Pintar la película"),
    "film_result": ("Painted film", "Película pintada"),
    "need_film": ("Drop a film first", "Suelta antes una película"),
    # The batch.
    "batch_info": (
        "Every photograph gets the look chosen under Paint. One after the other; what fails is named, and the rest goes on.",
        "Cada fotografía recibe el aspecto elegido en Pintar, una tras otra; lo que falla se nombra y el resto sigue.",
    ),
    "batch_photos": ("Photographs", "Fotografías"),
    "batch_format": ("Format of the pictures", "Formato de las imágenes"),
    "batch_start": ("Paint all", "Pintar todas"),
    "batch_stop": ("Stop all", "Parar todas"),
    "batch_results": ("Pictures so far", "Imágenes hasta ahora"),
    "batch_download": ("Download all", "Descargar todas"),
    # The history.
    "search": ("Search", "Buscar"),
    "search_info": ("Names, sizes, settings", "Nombres, tamaños, ajustes"),
    "gallery": ("Pictures made here", "Imágenes hechas aquí"),
    "history_info": (
        "Choose a picture to compare it with its photograph; choose another one to compare the two.",
        "Elige una imagen para compararla con su fotografía; elige otra para comparar las dos.",
    ),
    "history_compare": ("Comparison", "Comparación"),
    "use_settings": ("Use these settings", "Usar estos ajustes"),
    "use_start": ("Use as start", "Usar como comienzo"),
    "report": ("Report", "Informe"),
    # What is said of a run.
    "say_empty": ("Choose a photograph and a painting.", "Elige una fotografía y un cuadro."),
    "say_waiting": ("Waiting: {before} before this one", "En espera: {before} antes de ésta"),
    "say_begins": ("Preparing; the first time takes longer", "Preparando; la primera vez tarda más"),
    "say_running": ("Step {step} of {steps} · {size} px", "Paso {step} de {steps} · {size} px"),
    "say_left": ("{left} left", "quedan {left}"),
    "say_stopping": ("Stopping", "Parando"),
    "say_interrupted": ("Stopped after {step} steps; Continue goes on from here",
                        "Parado tras {step} pasos; Continuar sigue desde aquí"),
    "say_finished": ("Finished", "Terminado"),
    "say_failed": ("Not possible: {error}", "No es posible: {error}"),
    "say_batch": ("{done} of {all} done", "{done} de {all} hechas"),
    "say_loss": ("distance {loss}", "distancia {loss}"),
    # Errors.
    "need_photo": ("Choose a photograph first.", "Elige primero una fotografía."),
    "need_painting": ("Choose a painting first.", "Elige primero un cuadro."),
    "need_canvas": ("Load the photograph and mark a region first.", "Carga primero la fotografía y marca una región."),
    "need_run": ("Choose a picture first.", "Elige primero una imagen."),
    "no_look": ("This picture was not made by the studio; its settings are in its report.",
                "Esta imagen no la hizo el estudio; sus ajustes están en su informe."),
}  # fmt: skip

# Setting under "More" -> what it means, in Spanish.
SETTINGS_ES = {
    "network.pooling": "o average: la media en lugar del máximo",
    "network.pooling_scale": "factor de los mapas reducidos; con average, hasta 2, para compensar lo que rebaja",
    "network.padding": "cómo sigue la imagen tras sus bordes: también zero (negro) o reflect (espejo)",
    "network.padding_at": "ese relleno en la primera convolución y ceros en las demás; o all: en todas",
    "network.convolution": "o winograd (la más rápida en procesadores), xla",
    "network.precision": "o tf32, bfloat16: más rápidas en GPU",
    "network.remat": "o none, blocks: qué se vuelve a calcular si falta memoria",
    "loss.convention": "para qué normalización están pensados los pesos: mean, paper, gatys_code, jcjohnson, anishathalye, "
                       "gordicaleksa",
    "loss.tv": "su forma: l2 suaviza; l1 e isotropic conservan los bordes y piden menos peso",
    "loss.content_layers": "las capas bajas conservan más detalle",
    "loss.style_layers": "menos capas, y más bajas, dan una textura más pequeña",
    "loss.style_distance": "o sliced_wasserstein, neighbors, gram, covariance, mean_std",
    "loss.epsilon": "se suma a las varianzas que compara wasserstein: lo que está muy por debajo no cuenta",
    "loss.content_weight": "alfa, el peso de la fotografía; 0 da una textura",
    "loss.style_weight": "beta, el peso del cuadro; 0.3 conserva la fotografía, 5 o más deja poco de ella",
    "loss.color_weight": "mantiene los colores del cuadro; con 0 quedan a merced de las capas",
    "loss.tv_weight": "suavidad de la imagen; 0 deja el ruido de la red, 20 es muy suave",
    "loss.content_layer_weights": "igualmente; deep: las capas de los bloques segundo, tercero y cuarto como 1:5:6",
    "loss.style_layer_weights": "cuentan más los bloques centrales, 6:25:36:29:4 del primero al quinto; halving: cada capa la "
                                "mitad de la anterior; null o equal: iguales; 1/C2, según los canales C de cada capa; una "
                                "razón como 256:64:16:4:1; o una lista junto a las capas, por ejemplo [1,1,0.5,0.5,0.2]",
    "optimizer.name": "o adam, momentum; optax.NOMBRE para cualquier otro de optax",
    "optimizer.learning_rate": "de adam: un paso, en unidades del intervalo de la imagen",
    "optimizer.memory": "de lbfgs: cuántos pares de cambios guarda",
    "optimizer.dct_floor": "de lbfgs, que espera más curvatura del detalle fino que de las superficies; con 0, la misma",
    "optimizer.averaging": "la imagen es la media de las habidas, cada una según esta potencia de su edad en pasos: 0.99 con "
                           "adam; 0 es sólo la última",
    "scale.tile": "u off, o píxeles: si falta memoria, la red trabaja por teselas de la imagen; el objetivo es el mismo",
    "scale.devices": "o un número: tantos dispositivos comparten cada imagen; el objetivo es el mismo",
    "scales": "de lo grueso a lo fino, cada tamaño la mitad del siguiente, hasta 96 píxeles; o cuántos, 1 es sólo el tamaño; o "
              "sus tamaños, como [128,181,256], el último de los cuales es el tamaño",
    "steps": "en la escala más fina, el doble en cada una más gruesa; o una lista, uno por escala",
    "init": "empieza desde la fotografía con los colores del cuadro; o content (la fotografía), style (el cuadro), noise "
            "(ruido), adain (la imagen de una sola pasada)",
}  # fmt: skip

_translations = gr.I18n(
    en={name: english for name, (english, _) in TEXTS.items()}
    | {f"about_{key}": setting.about for key, setting in looks.settings().items()},
    es={name: spanish for name, (_, spanish) in TEXTS.items()}
    | {f"about_{key}": spanish for key, spanish in SETTINGS_ES.items()},
)


def translations() -> gr.I18n:
    """All texts, for the browser."""
    return _translations


def label(name: str) -> Any:
    """A text that the browser translates: a name of `TEXTS`, or about_KEY for what a setting means."""
    assert name in TEXTS or name.removeprefix("about_") in SETTINGS_ES, name
    return _translations(name)


def say(request: gr.Request | None, name: str, **facts: Any) -> str:
    """A text in the language that the browser asks for."""
    wanted = (request.headers.get("accept-language") or "") if request else ""
    return TEXTS[name][int(wanted.lower().startswith("es"))].format(**facts)


def duration(seconds: float) -> str:
    """A time in minutes and seconds.

    >>> duration(75.2), duration(8.0)
    ('1:15', '0:08')
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
