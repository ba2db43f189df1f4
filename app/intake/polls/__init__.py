"""Polls: services, feeds and mailboxes asked for what is new."""
