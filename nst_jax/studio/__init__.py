"""The studio: a page on this machine where people drop a photograph and a painting, and work.

folder.py    what lies where under the studio's folder, and the pictures that pages upload
look.py      the choices of a page, and the command line of `nst-jax` that they are
regions.py   masks from strokes of a brush
jobs.py      the queue: one worker, which runs run folders
history.py   the runs of the folder, for the gallery
texts.py     every text of the page, in English and Spanish
shared.py    what the pages share: folder, queue and shelf, the paintings to choose from
page.py      the page, of the tabs in paint.py (controls.py beside view.py), batch.py and gallery.py
api.py       the endpoints for other programs
server.py    the server: who may ask, and for what
"""
