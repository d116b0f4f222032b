"""Films: each frame painted in the style of a picture, and consistent with the frames before it."""
