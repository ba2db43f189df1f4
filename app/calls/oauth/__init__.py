"""Tokens asked for and renewed: once for everybody who needs the next one."""
