"""Signing in at a service: the way there, the way back, what went wrong, and registered apps."""
