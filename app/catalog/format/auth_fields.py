"""What every way to prove who one is has in common: a name, a help, and the fields a person fills in."""

from __future__ import annotations

from pydantic import model_validator

from app.catalog.format.values import Key, Model, Pattern, Words


class AuthField(Model):
    """One thing a person fills in once per connection.  A secret one is sealed, never shown, and put
    into a call only inside the transport.  `multiline`: a key or a file of several lines."""

    key: Key
    label: Words
    secret: bool = False
    required: bool = True
    help: str = ""
    pattern: Pattern | None = None
    default: str = ""
    choices: tuple[str, ...] = ()
    multiline: bool = False


class AuthBase(Model):
    key: Key
    label: Words
    help: str = ""
    fields: tuple[AuthField, ...] = ()

    @property
    def given(self) -> tuple[AuthField, ...]:
        """What templates may name although nobody fills it in."""
        return ()

    @model_validator(mode="after")
    def _each_field_once(self) -> AuthBase:
        keys = [field.key for field in self.fields]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"the field '{twice[0]}' is there twice")
        return self
