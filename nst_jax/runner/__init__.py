"""One recorded run: prepare, run, resume, plan."""
