"""The drawing of the Neckarfront in Tübingen that stands in for the photograph; see `scene.py`."""
