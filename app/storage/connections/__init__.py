"""Connections: accounts at services, their tokens, and what was used of their limits."""
