"""The record of a run: its folder, the facts about it, its plots, and its progress on the terminal."""
