"""People, from the command line."""

from __future__ import annotations

from tests.cli.conftest import CommandLine

PASSWORD = "three unrelated words"


def test_an_account_is_made_once(cli: CommandLine) -> None:
    cli("users", "add", "Ana@Example.com", "--name", "Ana", "--role", "admin", "--password", PASSWORD)
    assert cli("users", "list").split() == ["ana@example.com", "Ana", "admin"]
    cli("users", "add", "ana@example.com", "--password", PASSWORD, expect=2)
    assert "already has an account" in cli.said


def test_weak_passwords_and_wrong_addresses_are_refused(cli: CommandLine) -> None:
    cli("users", "add", "ana@example.com", "--password", "short", expect=2)
    assert "at least 8" in cli.said
    cli("users", "add", "nobody", "--password", PASSWORD, expect=2)
    assert "nobody" in cli.said
    cli("users", "add", "ana@example.com", "--password", PASSWORD, "--role", "king", expect=2)
    assert "king" in cli.said
    assert cli("users", "list") == ""


def test_a_password_is_set_for_somebody_who_is_there(cli: CommandLine) -> None:
    cli("users", "add", "ana@example.com", "--password", PASSWORD)
    assert "new password" in cli(
        "users", "password", "ana@example.com", "--password", "four other unrelated words"
    )
    cli("users", "password", "ben@example.com", "--password", PASSWORD, expect=2)
    assert "ben@example.com" in cli.said


def test_the_setup_link_ends_with_the_first_account(cli: CommandLine) -> None:
    assert "/setup/" in cli("users", "setup-link")
    cli("users", "add", "ana@example.com", "--password", PASSWORD)
    assert "There is an account already" in cli("users", "setup-link")
