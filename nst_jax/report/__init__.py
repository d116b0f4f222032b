"""Pages, plots and films made from run folders."""
