"""From a description of an API that somebody else wrote to a connector, with a report of what was left out.

Pure: bytes in, a draft out.  Nothing here opens a socket or writes a file, except `write` (the folder
of the connector) and `fenced` (the process of its own in which foreign documents are read).
"""
