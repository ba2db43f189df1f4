"""What a person or a program does, once: rights, checks, one transaction with its audit row, the change told.

Pages and the command line read a request, call one command and answer; they never write by themselves.
"""
