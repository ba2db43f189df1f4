"""Connections with opened secrets: put into calls, signed with, and masked in the history."""
