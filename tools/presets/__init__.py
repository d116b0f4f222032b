"""The thumbnails of the studio's presets."""
