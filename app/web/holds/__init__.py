"""Stopped on purpose with everything kept: a flow, a connection, or all of it after a restore."""
