"""Flows as files: written, read, compared, and complaints about them."""
