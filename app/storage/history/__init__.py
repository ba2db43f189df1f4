"""What came in and what became of it: deliveries, events, runs, steps, calls, and their end."""
