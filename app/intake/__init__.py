"""HOW events come in: deliveries, polls, schedules, runs started by hand; and how a flow goes live."""
