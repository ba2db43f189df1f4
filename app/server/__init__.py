"""The server as it stands on a machine: its processes, its port, its connections."""
