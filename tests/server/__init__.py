"""The server's processes, connections and port, tried from outside and from within."""
