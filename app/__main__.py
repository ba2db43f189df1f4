"""`python -m app` is the command `plumbline`."""

from app.cli import main

main()
