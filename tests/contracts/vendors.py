"""Which documents each connector is held to, and what is known to be missing from them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Contract:
    """`documents`: the first that knows a path is used.  `base`: what stands before the documents'
    paths; `bases`: the same for each of them.  `waived`: parameters the documents ask for although the
    service has given them up, by `place:name`.  `absent`: operations no document holds, with the
    reason.  `undocumented`: what a document finds fault with although the vendor describes it
    elsewhere, by how the complaint begins."""

    documents: tuple[str, ...]
    base: str = ""
    bases: tuple[str, ...] = ()
    waived: frozenset[str] = frozenset()
    absent: dict[str, str] = field(default_factory=dict)
    undocumented: dict[str, str] = field(default_factory=dict)


_READ_ONLY = "The only document of this API describes what is read; this is written from documentation"
_NO_PROPERTIES = "HubSpot publishes the properties API in a document of its own"
_NO_PIPELINES = "HubSpot publishes the pipelines API in a document of its own"


def _absent(reason: str, *names: str) -> dict[str, str]:
    """Each action is sent twice: with the least it takes, and with all."""
    kinds = ("least", "full")
    return {
        full: reason
        for name in names
        for full in ([f"{name}.{kind}" for kind in kinds] if name.startswith("actions/") else [name])
    }


_TOLD = ("create", "then", "look", "remove")
_LIMIT = "query/limit: the document has no such parameter"
_OFFSET = "query/offset: the document has no such parameter"
_NO_LIST = "The copy of the document lacks the list of webhooks"
_LATER = "The vendor's own reference has it; this copy of the document is older"
_PAGES = "The vendor describes paging in a chapter of its own, for all lists"

CONTRACTS = {
    "activecampaign": Contract(
        ("activecampaign.json",),
        base="/api/3",
        absent=_absent(
            "The copy of the document lacks this list",
            "lookups/automations",
            "lookups/pipelines",
            "lookups/fields",
        )
        | _absent(_NO_LIST, "triggers/contact_event.look"),
        undocumented={_LIMIT: _PAGES, _OFFSET: _PAGES},
    ),
    "airtable": Contract(
        ("airtable-metadata.json", "airtable.json"),
        base="/v0",
        absent=_absent("The document has no change of several records", "actions/upsert_record.request"),
    ),
    "asana": Contract(
        ("asana.json",),
        base="/api/1.0",
        absent=_absent(_NO_LIST, "triggers/task_event.look")
        | _absent("The copy of the document lacks single projects", "triggers/task_event.ask"),
    ),
    "brevo": Contract(("brevo.json",), base="/v3", undocumented={"body/auth: ": _LATER}),
    "calendly": Contract(("calendly.json",), absent=_absent(_NO_LIST, "triggers/meeting_event.look")),
    "customerio": Contract(
        ("customerio-track.json",),
        undocumented={"path/identifier: ": "An email fits several kinds of identifiers there"},
    ),
    "discord": Contract(("discord.json",), base="/api/v10"),
    "github": Contract(("github.json",), absent=_absent(_NO_LIST, "triggers/repository_event.look")),
    "ga4_data": Contract(("ga4-data.json",)),
    "ga4_measurement": Contract(
        ("ga4-measurement-protocol.json",),
        base="/mp",
        absent=_absent(
            "The document has another address for the validation server than the vendor's guide",
            "check",
            "actions/check_event.request",
        ),
    ),
    "gmail": Contract(
        ("gmail.json",),
        undocumented={
            "body: application/json is none of ": "The vendor's own guide sends JSON with the mail in raw"
        },
    ),
    "google_ads": Contract(
        ("google-ads.json",),
        absent=_absent(
            "The copy of the document lacks the upload to customer lists",
            "actions/add_to_list.request",
            "actions/remove_from_list.request",
        ),
    ),
    "google_sheets": Contract(("google-sheets.json",)),
    "gtm_server": Contract(()),
    "graphql": Contract(()),  # each API has a schema of its own
    "hubspot": Contract(
        ("hubspot-contacts.json", "hubspot-companies.json", "hubspot-deals.json"),
        absent={
            "lookups/company_properties": _NO_PROPERTIES,
            "lookups/contact_properties": _NO_PROPERTIES,
            "lookups/contact_property_names": _NO_PROPERTIES,
            "lookups/deal_properties": _NO_PROPERTIES,
            "lookups/deal_stages": _NO_PIPELINES,
        },
    ),
    "imap": Contract(()),  # mailboxes speak IMAP, not HTTP
    "intercom": Contract(("intercom.json",)),
    "klaviyo": Contract(("klaviyo.json",), absent=_absent(_NO_LIST, "triggers/event_received.look")),
    "mailchimp": Contract(
        ("mailchimp.json",), base="/3.0", absent=_absent(_NO_LIST, "triggers/audience_event.look")
    ),
    "meta_conversions": Contract(()),
    "microsoft_teams": Contract(
        ("microsoft-teams-graph.json",),
        base="/v1.0",
        absent=_absent(
            "The document has meetings of an app alone, not those of whoever signed in",
            "actions/create_meeting.request",
        ),
        undocumented={
            "body/@odata.type: ": "Graph asks for the type of a member, as its own guide shows",
            "body/user@odata.bind: ": "Graph takes a person by address, as its own guide shows",
        },
    ),
    "mixpanel": Contract(
        ("mixpanel-ingestion.json",),
        absent=_absent(
            "The document tells the uses of /engage and /groups apart by fragments alone",
            *(
                f"actions/{name}.request"
                for name in (
                    "set_profile",
                    "set_profile_once",
                    "add_to_number",
                    "add_to_list",
                    "delete_profile",
                    "set_group",
                )
            ),
        ),
    ),
    "moz": Contract(()),
    "meta_marketing": Contract(
        ("meta-marketing.json", "meta-graph-audiences.json"),
        bases=("/v24.0", "/v24.0"),
        absent=_absent(
            "Neither document has creating an audience, or reports that are worked out later",
            "actions/create_audience.request",
            "actions/run_report.request",
            "actions/get_report.request",
            "lookups/audiences",
        ),
        undocumented={
            "body: application/x-www-form-urlencoded": "The Graph API takes forms everywhere",
            "body: the document has none here": "The vendor's guide sends those to be removed in the body",
        },
    ),
    "meta_lead_ads": Contract(()),
    "notion": Contract(
        ("notion.json",),
        undocumented={
            "body/parent: {'type': 'data_source_id'": "Databases have data sources since 2025-09-03",
            "body/children/0: {'object': 'block'": "The document calls blocks texts; they are tables",
        },
    ),
    "openweather": Contract(("openweather-current.json", "openweather-forecast.json"), base="/data/2.5"),
    "pipedrive": Contract(
        ("pipedrive-v2.json", "pipedrive.json"),
        bases=("/api/v2", "/v1"),
        absent=_absent(_NO_LIST, "triggers/record_event.look"),
        undocumented={"body: 'title' is a required property": "Organizations have a name, as its guide says"},
    ),
    "posthog": Contract(("posthog.json",)),
    "rss": Contract(()),  # feeds have formats, and no service behind them
    "salesforce": Contract(
        ("salesforce.json", "salesforce-read.json"),
        base="/services/data/v63.0",
        absent=_absent(
            "Neither document has the path that finds a record by another field",
            "actions/upsert_lead.request",
            "actions/upsert_contact.request",
            "actions/upsert_record.request",
        )
        | _absent("Neither document has reports that are worked out later", "actions/run_report.request"),
        undocumented={
            "body: 'attributes' is a required property": "Described as optional by the vendor",
            "path/id: 'describe' is too short": "It takes /describe, which it lacks, for the ID of a record",
        },
    ),
    "segment": Contract(("segment-tracking.json",), base="/v1"),
    "sendgrid": Contract(
        ("sendgrid.json",),
        base="/v3",
        absent=_absent(
            "The copy of the document lacks the settings of event webhooks",
            *(f"triggers/email_event.{purpose}" for purpose in _TOLD),
        ),
        undocumented={
            "body: 'content' is a required property": "A template stands in for the text",
            "body: 'subject' is a required property": "A template has a subject of its own",
        },
    ),
    "shopify": Contract(("shopify.json",), base="/admin/api/2026-10"),
    # Since 2020 Slack takes the token in the Authorization header alone.
    "slack": Contract(("slack.json",), base="/api", waived=frozenset({"header:token", "query:token"})),
    "spotify": Contract(
        ("spotify.json",),
        base="/v1",
        absent=_absent(
            "The document has the address that items of playlists had before 2026",
            "actions/add_to_playlist.request",
            "triggers/new_in_playlist.first",
            "lookups/playlists",
        ),
    ),
    "stripe": Contract(
        ("stripe.json",),
        absent=_absent("The copy of the document lacks the list of coupons", "lookups/coupons")
        | _absent(_NO_LIST, "triggers/event_received.look"),
    ),
    "telegram": Contract(
        ("telegram.json",),
        base="/botsecret-of-token",
        absent=_absent(_LATER, "triggers/message_received.look"),
        undocumented={"body/secret_token: ": "It came with version 6.1 of the Bot API"},
    ),
    "trello": Contract(("trello.json",), base="/1", absent=_absent(_NO_LIST, "triggers/board_event.look")),
    "twilio": Contract(("twilio.json",)),
    "typeform": Contract(
        ("typeform-create.json", "typeform.json"),
        absent=_absent("The document has no deleting of answers", "actions/delete_responses.request")
        | _absent(
            "The document has the list of webhooks alone",
            "triggers/response_received.create",
            "triggers/response_received.remove",
        ),
    ),
    "woocommerce": Contract(
        ("woocommerce.json",),
        base="/wp-json/wc/v3",
        undocumented={
            "query/dates_are_gmt: the document has no such parameter": "WooCommerce has it since 5.8",
        },
        absent=_absent(
            _READ_ONLY,
            "actions/add_order_note.request",
            "actions/create_coupon.request",
            "actions/create_customer.request",
            "actions/update_customer.request",
            "actions/update_order_status.request",
            "triggers/order_event.create",
            "triggers/order_event.look",
            "triggers/order_event.remove",
        ),
    ),
    "webflow": Contract(
        ("webflow.json",),
        base="/v2",
        absent=_absent(_NO_LIST, "triggers/form_submitted.look"),
        undocumented={
            "body: {'itemIds'": "Both forms the document knows fit a list of IDs, which it forbids"
        },
    ),
    "whatsapp": Contract(
        ("meta-business-messaging-whatsapp.json",),
        absent=_absent("The document has no list of templates", "lookups/templates"),
        undocumented={
            "header/User-Agent: ": "The document holds the name of a client to a form of its own",
            "body: {'messaging_product'": "Two parts of a message forbid each other's fields: none fits",
        },
    ),
    "wordpress": Contract(("other/wordpress-6.1-wp-json.json",), base="/wp-json"),
    "x_twitter": Contract(("x.json",)),
    "zendesk": Contract(
        ("zendesk.json",),
        absent=_absent(
            "The document of the Support API holds no webhooks; the vendor's own reference does",
            *(f"triggers/event_received.{purpose}" for purpose in _TOLD),
        ),
        undocumented={
            "body/ticket/requester: ": "Described in the vendor's guide to creating tickets",
            "body: the document has none here": "The vendor's guide shows the tags in the body",
        },
    ),
    "zoom": Contract(("zoom.json",), base="/v2"),
}
