"""Connectors being made: begun, changed, checked, and how far each can be relied on."""
