"""Configs: their schema, how they are composed, and the checked specs they become."""
