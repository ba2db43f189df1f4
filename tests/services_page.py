"""Writes the tables of docs/services.md from the connectors: `python -m tests.services_page`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.catalog.format.definition import Connector
from app.catalog.workbench.check import check_one
from tests.connectors.player import FOLDER
from tests.connectors.player import REGISTRY as ALL

# What a type of `auth` does not say.
OTHERWISE = {
    "imap": "user and password",
    "posthog": "project key",
    "rss": "address of the feed",
    "telegram": "key in the address",
}
PAGE = Path(__file__).parents[1] / "docs" / "services.md"
KEYS = sorted(folder.parent.name for folder in FOLDER.glob("*/connector.yaml"))
GROUPS = {
    "CRM and sales": "activecampaign hubspot intercom pipedrive salesforce",
    "Email and messaging": (
        "brevo customerio gmail imap klaviyo mailchimp sendgrid telegram twilio whatsapp discord "
        "microsoft_teams slack zoom"
    ),
    "Advertising and analytics": (
        "ga4_data ga4_measurement google_ads gtm_server meta_conversions meta_lead_ads meta_marketing "
        "mixpanel moz posthog segment x_twitter"
    ),
    "Shop and payment": "shopify stripe woocommerce",
    "Website, forms and content": "rss spotify typeform webflow wordpress",
    "Tables, tasks and support": "airtable asana calendly github google_sheets notion trello zendesk",
    "Anything else": "graphql openweather",
}

FOOT = """
Whatever else speaks HTTP: the step *Web request*, the triggers *Webhook* and *Look at an address*. Email goes
out through any SMTP server.
"""


def tables() -> str:
    """Returns a table for each group; a connector in no group is an error."""
    listed = [key for keys in GROUPS.values() for key in keys.split()]
    assert sorted(listed) == KEYS, set(listed) ^ set(KEYS)
    parts = []
    for title, keys in GROUPS.items():
        rows = sorted((_row(ALL.get(key)) for key in keys.split()), key=str.lower)
        head = [
            "| Service | Starts flows | Can do | Connects by | Level | Requests are compared with |",
            "|---|---|---|---|---|---|",
        ]
        parts.append(f"## {title}\n\n" + "\n".join([*head, *rows]) + "\n")
    return "\n".join(parts)


def _row(connector: Connector) -> str:
    level = check_one(FOLDER / connector.key, connector.api.checked).level
    cells = (
        f"[{connector.name}](../connectors/{connector.key}/README.md)",
        _labels(trigger.label for trigger in connector.triggers.values()),
        _labels(action.label for action in connector.actions.values()),
        OTHERWISE.get(connector.key)
        or ", ".join(dict.fromkeys(_WORDS[way.type] for way in connector.auth))
        or "nothing",
        level,
        connector.api.contract or "written from documentation",
    )
    return "| " + " | ".join(cells) + " |"


_WORDS = {
    "bearer": "token",
    "api_key": "key",
    "basic": "user and password",
    "headers": "key",
    "oauth2": "sign-in",
    "client_credentials": "client ID and secret",
    "service_account": "service account",
    "hmac": "key",
    "none": "nothing",
}


def _labels(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels, key=str.lower)) or "–"


def page(text: str) -> str:
    """Returns the page with its tables made anew; what stands above the first heading of a group stays."""
    return text[: text.index("\n## ") + 1] + tables() + FOOT


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
