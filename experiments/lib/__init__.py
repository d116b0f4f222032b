"""Scripts and models that several experiments share, or that are run as modules."""
