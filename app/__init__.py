"""Plumbline: a self-hosted, no-code workflow builder for marketers."""

__version__ = "0.1.0"
