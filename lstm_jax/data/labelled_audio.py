"""Where recordings with a class come from, by split."""
