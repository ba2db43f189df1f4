"""The demo: make-believe marketing services, connectors for them, and flows to watch."""
