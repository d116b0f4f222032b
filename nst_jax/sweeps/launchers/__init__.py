"""Hydra launchers: batched and Ray."""
