"""Readers of other systems' parameter files; none executes what is in them."""
