"""The command `plumbline`: serve, and what a technical person or a program does without a browser."""

from __future__ import annotations

from typing import Any

import click

from app import __version__
from app.cli import backup, connectors, demo, doctor, flows, ledger, move, runs, serve, users
from app.errors import AppError


class Refused(click.ClickException):
    """A mistake of the person: a sentence, what to do, and exit code 2; never a traceback."""

    exit_code = 2

    def __init__(self, reason: AppError) -> None:
        super().__init__("\n".join(part for part in (reason.sentence, reason.remedy) if part))


class Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AppError as reason:
            raise Refused(reason) from reason


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="plumbline")
def commands() -> None:
    """A self-hosted, no-code workflow builder for marketers.

    Settings are environment variables (PLUMBLINE_…); see docs/settings.md.
    """


for module in (serve, flows, runs, ledger, connectors, users, backup, doctor, demo, move):
    for command in module.commands:
        commands.add_command(command)


def main() -> None:
    commands(prog_name="plumbline")
