"""`python -m app …` is `plumbline …`."""

from app.cli import main

main()
