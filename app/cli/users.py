"""`plumbline users`: the way in, for whoever has the machine."""

from __future__ import annotations

import click

from app.cli.opened import opened_parts
from app.errors import NotFound
from app.storage import passwords
from app.storage import users as stored
from app.web.account import setup_link


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
        link = setup_link(parts)
    click.echo(link or "There is an account already; sign in, or set a new password with `users password`.")


@users.command("password")
@click.argument("email")
@click.password_option(help="Asked for when not given.")
def set_password(email: str, password: str) -> None:
    """Set a new password and sign that person out everywhere."""
    with opened_parts() as parts:
        with parts.database.read() as db:
            user = stored.find_user(db, email)
        if user is None:
            raise NotFound(f"Nobody here has the address {email}.", remedy="See `plumbline users list`.")
        if problem := passwords.objection(password, email=email):
            raise click.BadParameter(problem)
        hashed = passwords.hash_password(password)
        parts.database.write(lambda c: stored.set_password(c, user.id, hashed))
    click.echo(f"{email} has a new password.")


commands = [users]
