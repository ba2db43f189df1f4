"""People: the first account, signing in and out, and one's own settings."""
