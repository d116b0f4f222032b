"""Pages, figures and videos made from run folders."""
