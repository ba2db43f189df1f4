"""Connectors: the list, the workshop, and connectors made of a description of an API."""
