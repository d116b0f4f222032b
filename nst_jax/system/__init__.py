"""The operating system: files, caches, memory, the command line."""
