"""Dead letters: groups, what was put away, and orders about many runs."""
