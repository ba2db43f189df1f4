"""From what other tools say to connectors and flows of ours."""
