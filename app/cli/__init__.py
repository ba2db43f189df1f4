"""The command `plumbline`: serve, and what a technical person or a program does without a browser."""

from __future__ import annotations

import sys

import click

from app import __version__
from app.cli import flows, runs, serve, users
from app.errors import AppError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="plumbline")
def commands() -> None:
    """A self-hosted, no-code workflow builder for marketers.

    Settings are environment variables (PLUMBLINE_…); see docs/settings.md.
    """


for module in (serve, flows, runs, users):
    for command in module.commands:
        commands.add_command(command)


def main() -> None:
    """A mistake of the person is a sentence and exit code 2, never a traceback."""
    try:
        commands(prog_name="plumbline")
    except AppError as reason:
        click.echo(f"Error: {reason.sentence}", err=True)
        if reason.remedy:
            click.echo(reason.remedy, err=True)
        sys.exit(2)
