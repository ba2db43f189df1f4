"""Connections: made, tested, limited and removed."""
