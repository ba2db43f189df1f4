"""Subscriptions: services told where to send, looked after, and told to stop."""
