"""Which addresses a call may reach, and how much of an answer is read."""
