"""People: accounts, sessions, passwords, and who did what."""
