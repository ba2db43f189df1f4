"""Many runs at once: dead letters by their cause, and cancelling all that wait."""
