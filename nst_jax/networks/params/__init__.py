"""Network parameters on disk: store, verify, fetch, convert."""
