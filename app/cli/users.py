"""`plumbline users`: the way in, for whoever has the machine."""

from __future__ import annotations

import click

from app.cli.opened import opened_parts
from app.commands import people
from app.commands.who import SHELL
from app.storage.people import users as stored


@click.group()
def users() -> None:
    """People who may sign in."""


@users.command("list")
def list_users() -> None:
    """Print everybody who has an account."""
    with opened_parts() as parts, parts.database.read() as db:
        for user in stored.list_users(db):
            click.echo(f"{user.email}  {user.name}  {user.role}")


@users.command("setup-link")
def print_setup_link() -> None:
    """Print a new link for making the first account; an earlier link ends."""
    with opened_parts() as parts:
        link = people.make_setup_link(parts)
    click.echo(link or "There is an account already; sign in, or set a new password with `users password`.")


@users.command("add")
@click.argument("email")
@click.option("--name", default="", help="What colleagues know the person by; else the address.")
@click.option("--role", type=click.Choice(stored.ROLES), default="editor", show_default=True)
@click.password_option(help="Asked for when not given.")
def add_user(email: str, name: str, role: str, password: str) -> None:
    """Give a person an account."""
    if not stored.is_email(email):
        raise click.BadParameter(f"“{email}” is not an email address, such as ana@example.com.")
    with opened_parts() as parts:
        people.add(SHELL, parts, email=email, name=name, role=role, password=password)
    click.echo(f"{email} may sign in as {role}.")


@users.command("password")
@click.argument("email")
@click.password_option(help="Asked for when not given.")
def set_password(email: str, password: str) -> None:
    """Set a new password and sign that person out everywhere."""
    with opened_parts() as parts:
        people.reset_password(SHELL, parts, email=email, password=password)
    click.echo(f"{email} has a new password.")


commands = [users]
