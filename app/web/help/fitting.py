"""Which document explains the page somebody is on: one table, from the page's address to a file of docs/."""

from __future__ import annotations

# The first line that begins like the page's address, as the routes are written, is taken: longer ones first.
PAGES: tuple[tuple[str, str], ...] = (
    ("/account", "install"),
    ("/alerts", "alerts-and-ledger"),
    ("/connections/<connection_id>/limits", "limits"),
    ("/connections", "guide/connections"),
    ("/connectors/bring", "import-an-api"),
    ("/connectors/new", "connectors"),
    ("/connectors/<key>/edit", "connectors"),
    ("/connectors", "services"),
    ("/dead-letters", "dead-letters"),
    ("/deliveries", "troubleshooting"),
    ("/flows/<flow_id>/deliveries", "troubleshooting"),
    ("/flows/<flow_id>/ledger", "alerts-and-ledger"),
    ("/flows/<flow_id>/polls", "triggers"),
    ("/flows/<flow_id>/publish", "guide/testing"),
    ("/flows/<flow_id>/renamed", "dead-letters"),
    ("/flows/<flow_id>/runs", "guide/when-something-stops"),
    ("/flows/<flow_id>/subscription", "triggers"),
    ("/flows/<flow_id>/versions", "concepts"),
    ("/flows/bring", "bring-your-flows"),
    ("/flows/import", "flows-as-files"),
    ("/flows/<flow_id>", "guide/mapping-fields"),
    ("/flows", "guide/your-first-flow"),
    ("/health", "operating"),
    ("/help", "README"),
    ("/ledger", "alerts-and-ledger"),
    ("/orders", "dead-letters"),
    ("/polls", "triggers"),
    ("/runs", "guide/when-something-stops"),
    ("/settings/alerts", "alerts-and-ledger"),
    ("/settings/history", "operating"),
    ("/sign-in", "guide/connections"),
    ("/standstill", "operating"),
    ("/subscriptions", "triggers"),
    ("/", "README"),
)


def help_for(rule: str) -> str:
    """Returns the address of the document that fits the page of the route `rule`."""
    name = next((page for beginning, page in PAGES if rule.startswith(beginning)), "README")
    return "/help" if name == "README" else f"/help/{name}"
