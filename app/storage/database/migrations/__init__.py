"""Schema changes, forward only; run at every start."""
