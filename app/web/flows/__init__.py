"""Flows as a list, and what came in for one: deliveries, polls, renamed fields."""
