"""`plumbline users`: the way in, for whoever has the machine."""

from __future__ import annotations

import click

from app.cli.opened import opened_parts
from app.errors import NotFound
from app.storage.people import passwords
from app.storage.people import users as stored
from app.web.people.account import setup_link


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


@users.command("add")
@click.argument("email")
@click.option("--name", default="", help="What colleagues know the person by; else the address.")
@click.option("--role", type=click.Choice(stored.ROLES), default="editor", show_default=True)
@click.password_option(help="Asked for when not given.")
def add_user(email: str, name: str, role: str, password: str) -> None:
    """Give a person an account."""
    if not stored.is_email(email):
        raise click.BadParameter(f"“{email}” is not an e-mail address, such as ana@example.com.")
    if problem := passwords.objection(password, email=email, name=name):
        raise click.BadParameter(problem)
    hashed = passwords.hash_password(password)
    with opened_parts() as parts:
        now = parts.clock.now()
        parts.database.write(
            lambda db: stored.create_user(
                db, email=email, name=name or email, password_hash=hashed, role=role, now=now
            )
        )
    click.echo(f"{email} may sign in as {role}.")


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
        parts.database.write(lambda db: stored.set_password(db, user.id, hashed))
    click.echo(f"{email} has a new password.")


commands = [users]
