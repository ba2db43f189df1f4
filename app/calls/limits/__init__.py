"""Whether a call may go out now: windows, pauses, fair turns, and what services say of them."""
