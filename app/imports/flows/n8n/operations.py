"""Which operation of a service's node is which action of our connector, and where its fields come from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

# kind | connector | usual resource/operation | address of the service's own interface
#   resource/operation = action, other name of it : our field < their places, …
#   `*` before an action: it gives a list under the path after `>`;  `&x`: a table of further fields;
#   `field~text<place`: the place stands for `%` in the text;  an action that is missing today may be
#   there tomorrow.  Lines go on after six spaces.
_TABLE = """
slack | slack | message/post | https://slack.com/api/
  message/post = post_message : channel<channelId,channel,user text<text
      thread_ts<otherOptions.thread_ts.replyValues.thread_ts username<otherOptions.username
      icon_emoji<otherOptions.icon_emoji
  message/send = post_message : channel<channelId,channel,user text<text
  message/sendAndWait = post_message : channel<channelId,channel,user text<message
  channel/create = create_channel : name<channelId,name is_private<channelVisibility
  user/getByEmail = find_user : email<email
telegram | telegram | message/sendMessage | https://api.telegram.org/
  message/sendMessage = send_message : chat_id<chatId text<text parse_mode<additionalFields.parse_mode
      reply_to_message_id<additionalFields.reply_to_message_id
      disable_notification<additionalFields.disable_notification
      disable_web_page_preview<additionalFields.disable_web_page_preview
  message/send = send_message : chat_id<chatId text<text
  message/sendAndWait = send_message : chat_id<chatId text<message
  message/sendPhoto = send_photo : chat_id<chatId photo<file caption<additionalFields.caption
  message/sendDocument = send_document : chat_id<chatId document<file caption<additionalFields.caption
  message/editMessageText = edit_message : chat_id<chatId message_id<messageId text<text
  chat/get = get_chat : chat_id<chatId
gmail | gmail | message/send | https://gmail.googleapis.com/gmail/v1/users/me/
  message/send = send_email : to<sendTo,toList,toEmail subject<subject
      cc<options.ccList,additionalFields.ccList bcc<options.bccList,additionalFields.bccList
      reply_to<options.replyTo,additionalFields.replyTo
  message/sendAndWait = send_email : to<sendTo subject<subject
  message/reply = send_email : thread<threadId in_reply_to<messageId
  message/get = get_email : message<messageId
  message/getAll = *find_emails>messages : search<filters.q limit<limit
  message/addLabels = change_labels : message<messageId add<labelIds
  message/removeLabels = change_labels : message<messageId remove<labelIds
  message/markAsRead = change_labels : message<messageId remove="UNREAD"
  message/markAsUnread = change_labels : message<messageId add="UNREAD"
  draft/create = create_draft : to<options.sendTo,additionalFields.toList subject<subject
googleSheets | google_sheets | sheet/read | https://sheets.googleapis.com/v4/spreadsheets
  sheet/append = add_row, append_row : spreadsheet<documentId,sheetId sheet<sheetName &columns.value
  sheet/appendOrUpdate = upsert_row, add_or_update_row, add_row : spreadsheet<documentId,sheetId
      sheet<sheetName &columns.value
  sheet/update = update_row : spreadsheet<documentId,sheetId sheet<sheetName
      row<columns.value.row_number &columns.value
  sheet/read = *read_rows>values : spreadsheet<documentId,sheetId sheet<sheetName
      range<options.dataLocationOnSheet.values.range,range
  sheet/lookup = *read_rows>values : spreadsheet<documentId,sheetId sheet<sheetName range<range
  sheet/create = add_sheet : spreadsheet<documentId,sheetId title<title
  spreadsheet/create = create_spreadsheet : title<title
airtable | airtable | record/read | https://api.airtable.com/v0/
  record/create = create_record : base_id<base,application table_id<table typecast<options.typecast
      &columns.value
  record/append = create_record : base_id<base,application table_id<table typecast<options.typecast
  record/update = update_record : base_id<base,application table_id<table record_id<columns.value.id,id
      typecast<options.typecast &columns.value
  record/upsert = upsert_record : base_id<base table_id<table merge_on<columns.matchingColumns
      typecast<options.typecast &columns.value
  record/search = *find_records,find_record : base_id<base,application table_id<table
      formula<filterByFormula
  record/list = *find_records,list_records,find_record : base_id<base,application table_id<table
      formula<filterByFormula,additionalOptions.filterByFormula
  record/deleteRecord = delete_record : base_id<base,application table_id<table record_id<id
  record/delete = delete_record : base_id<base,application table_id<table record_id<id
  record/get = get_record,find_record : base_id<base,application table_id<table record_id<id
      formula~RECORD_ID()='%'<id
  record/read = get_record,find_record : base_id<base,application table_id<table record_id<id
      formula~RECORD_ID()='%'<id
notion | notion | databasePage/create | https://api.notion.com/v1/
  databasePage/create = create_page : data_source_id<databaseId title<title
  databasePage/update = update_page : page_id<pageId
  databasePage/getAll = *find_pages,query_database,find_page>results : data_source_id<databaseId
  databasePage/get = get_page : page_id<pageId
  block/append = append_text : page_id<blockId
hubspot | hubspot | contact/upsert | https://api.hubapi.com/
  contact/upsert = create_or_update_contact : email<email firstname<additionalFields.firstName
      lastname<additionalFields.lastName phone<additionalFields.phoneNumber
      company<additionalFields.companyName lifecyclestage<additionalFields.lifeCycleStage
  contact/create = create_or_update_contact : email<email firstname<additionalFields.firstName
      lastname<additionalFields.lastName phone<additionalFields.phoneNumber
      company<additionalFields.companyName
  contact/update = create_or_update_contact : email<email firstname<additionalFields.firstName
      lastname<additionalFields.lastName
  contact/get = get_contact : email<email
  deal/create = create_deal : dealname<additionalFields.dealName dealstage<stage
      amount<additionalFields.amount pipeline<additionalFields.pipeline
      closedate<additionalFields.closeDate
  deal/update = update_deal : deal_id<dealId dealname<updateFields.dealName dealstage<updateFields.stage
      amount<updateFields.amount closedate<updateFields.closeDate
github | github | issue/create | https://api.github.com/
  issue/create = create_issue : owner<owner repo<repository title<title body<body
  issue/createComment = add_comment : owner<owner repo<repository number<issueNumber body<body
  issue/edit = update_issue : owner<owner repo<repository number<issueNumber title<editFields.title
      body<editFields.body state<editFields.state
twilio | twilio | sms/send | https://api.twilio.com/2010-04-01/
  sms/send = send_message : to<to from<from body<message
  call/make = start_call : to<to from<from twiml<message
discord | discord | message/send | https://discord.com/api/v10/
  message/send = send_message : channel_id<channelId content<content
whatsApp | whatsapp | message/sendTemplate | https://graph.facebook.com/v23.0/
  message/send = send_text : to<recipientPhoneNumber text<textBody
      preview_url<additionalFields.previewUrl
  message/sendTemplate = send_template : to<recipientPhoneNumber template<template language<template
twitter | x_twitter | tweet/create | https://api.x.com/2/tweets
  tweet/create = create_post,post,post_tweet,create_tweet : text<text
  tweet/search = *search_posts>data : search<searchText limit<limit
googleCalendar | google_calendar | event/create | https://www.googleapis.com/calendar/v3/
  event/create = create_event : calendar<calendar start<start end<end summary<additionalFields.summary
  event/getAll = *list_events : calendar<calendar
  event/update = update_event : calendar<calendar event<eventId
  event/delete = delete_event : calendar<calendar event<eventId
googleDrive | google_drive | file/upload | https://www.googleapis.com/drive/v3/
googleDocs | google_docs | document/create | https://docs.googleapis.com/v1/documents
pipedrive | pipedrive | deal/create | https://api.pipedrive.com/v1/
  deal/create = create_deal : title<title person_id<personId,person_id org_id<org_id
      value<additionalFields.value currency<additionalFields.currency stage_id<additionalFields.stage_id
  deal/update = update_deal : deal_id<dealId title<updateFields.title value<updateFields.value
      status<updateFields.status stage_id<updateFields.stage_id
  person/create = create_person : name<name email<additionalFields.email phone<additionalFields.phone
      org_id<additionalFields.org_id
  person/update = update_person : person_id<personId name<updateFields.name
  person/search = find_person : email<term
  note/create = add_note : content<content person_id<additionalFields.person_id
      deal_id<additionalFields.deal_id
wordpress | wordpress | post/create | https://example.com/wp-json/wp/v2/
  post/create = create_post : title<title content<additionalFields.content
      status<additionalFields.status slug<additionalFields.slug
  post/update = update_post : post_id<postId title<updateFields.title content<updateFields.content
      status<updateFields.status
  post/getAll = *find_posts : search<options.search
mailchimp | mailchimp | member/create | https://mailchimp.com/developer/
  member/create = add_or_update_member : list_id<list email<email status_if_new<status status<status
  member/update = add_or_update_member : list_id<list email<email status<updateFields.status
  member/get = get_member : list_id<list email<email
  memberTag/create = tag_member : list_id<list email<email tags<tags
sendGrid | sendgrid | mail/send | https://api.sendgrid.com/v3/
  mail/send = send_email : to<toEmail from<fromEmail from_name<fromName subject<subject text<contentValue
  contact/upsert = upsert_contact : email<email first_name<additionalFields.firstName
      last_name<additionalFields.lastName
sendInBlue | brevo | email/send | https://api.brevo.com/v3/
  email/send = send_email : to<receipients,recipients sender<sender subject<subject html<htmlContent
      text<textContent
  contact/upsert = upsert_contact : email<email
  contact/create = upsert_contact : email<email
stripe | stripe | customer/create | https://api.stripe.com/v1/
  customer/create = create_customer : name<name email<additionalFields.email
      phone<additionalFields.phone description<additionalFields.description
  customer/update = update_customer : customer_id<customerId email<updateFields.email
      name<updateFields.name phone<updateFields.phone
asana | asana | task/create | https://app.asana.com/api/1.0/
  task/create = create_task : project<otherProperties.projects name<name notes<otherProperties.notes
      due_on<otherProperties.due_on assignee<otherProperties.assignee
  task/update = update_task : task_id<id name<otherProperties.name notes<otherProperties.notes
  taskComment/add = add_comment : task_id<id text<text
trello | trello | card/create | https://api.trello.com/1/
  card/create = create_card : list_id<listId name<name desc<description due<additionalFields.due
  card/update = update_card : card_id<id name<updateFields.name desc<updateFields.desc
  cardComment/create = add_comment : card_id<cardId text<text
zendesk | zendesk | ticket/create | https://example.zendesk.com/api/v2/
  ticket/create = create_ticket : comment<description subject<additionalFields.subject
      type<additionalFields.type
  ticket/update = update_ticket : ticket_id<id status<updateFields.status
intercom | intercom | user/create | https://api.intercom.io/
  lead/create = create_contact : email<email name<additionalFields.name phone<additionalFields.phone
      role="lead"
  user/create = create_contact : email<idValue name<additionalFields.name phone<additionalFields.phone
      role="user"
shopify | shopify | order/create | https://shopify.dev/
  order/update = update_order : order_id<orderId note<updateFields.note tags<updateFields.tags
wooCommerce | woocommerce | product/create | https://example.com/wp-json/wc/v3/
  customer/create = create_customer : email<email first_name<additionalFields.first_name
      last_name<additionalFields.last_name
  order/get = get_order : order_id<orderId
  order/update = update_order_status : order_id<orderId status<updateFields.status
salesforce | salesforce | lead/create | https://login.salesforce.com/
  lead/create = upsert_lead : company<company last_name<lastname email<additionalFields.email
      first_name<additionalFields.firstname phone<additionalFields.phone
  contact/create = upsert_contact : last_name<lastname email<additionalFields.email
      first_name<additionalFields.firstName phone<additionalFields.phone
microsoftTeams | microsoft_teams | channelMessage/create | https://graph.microsoft.com/v1.0/
  channelMessage/create = send_message : team<teamId channel<channelId text<message
activeCampaign | activecampaign | contact/create | https://example.api-us1.com/api/3/
  contact/create = upsert_contact : email<email first_name<additionalFields.firstName
      last_name<additionalFields.lastName phone<additionalFields.phone
openWeatherMap | openweather | currentWeather/get | https://api.openweathermap.org/data/2.5/weather
  currentWeather/get = get_weather : lat<latitude lon<longitude units<format lang<language
zoom | zoom | meeting/create | https://api.zoom.us/v2/
  meeting/create = create_meeting : topic<topic start<additionalFields.startTime
      duration<additionalFields.duration agenda<additionalFields.agenda
  meeting/get = get_meeting : meeting<meetingId
webflow | webflow | item/create | https://api.webflow.com/v2/
  item/create = create_item : site<siteId collection<collectionId
  item/update = update_item : site<siteId collection<collectionId item<itemId
  item/get = find_item : site<siteId collection<collectionId
airtop | airtop | session/create | https://api.airtop.ai/api/v1/
facebookGraphApi | facebook | -/get | https://graph.facebook.com/
jira | jira | issue/create | https://example.atlassian.net/rest/api/3/issue
youTube | youtube | video/getAll | https://www.googleapis.com/youtube/v3/
supabase | supabase | row/create | https://example.supabase.co/rest/v1/
mattermost | mattermost | message/post | https://example.com/api/v4/posts
hunter | hunter | -/domainSearch | https://api.hunter.io/v2/
clearbit | clearbit | company/enrich | https://company.clearbit.com/v2/
quickbooks | quickbooks | customer/create | https://quickbooks.api.intuit.com/v3/
microsoftOutlook | microsoft_outlook | message/send | https://graph.microsoft.com/v1.0/me/
vlmRun | vlm_run | -/document | https://api.vlm.run/v1/
"""

# kind of trigger | connector | triggers by these names | our field < their places
_TRIGGERS = """
gmailTrigger | gmail | new_email | search<filters.q
googleSheetsTrigger | google_sheets | changed_row,new_row | spreadsheet<documentId,sheetId sheet<sheetName
telegramTrigger | telegram | message_received |
typeformTrigger | typeform | response_received,new_response | form_id<formId
slackTrigger | slack | new_message |
githubTrigger | github | repository_event | owner<owner repo<repository
hubspotTrigger | hubspot | contact_changed,new_contact |
stripeTrigger | stripe | event_received |
airtableTrigger | airtable | changed_record,new_record | base_id<baseId table_id<tableId
notionTrigger | notion | changed_page | data_source_id<databaseId
shopifyTrigger | shopify | order_created,new_order |
wooCommerceTrigger | woocommerce | order_event,new_order |
calendlyTrigger | calendly | meeting_event,new_meeting |
mailchimpTrigger | mailchimp | audience_event,new_subscriber | list_id<list
pipedriveTrigger | pipedrive | updated_deal |
activeCampaignTrigger | activecampaign | contact_event,new_contact |
twilioTrigger | twilio | message_received |
trelloTrigger | trello | board_event,new_activity |
asanaTrigger | asana | changed_task | project<resource
wordpressTrigger | wordpress | new_post |
whatsAppTrigger | whatsapp | message_received |
facebookLeadAdsTrigger | meta_lead_ads | new_lead,lead_received | form<form
googleCalendarTrigger | google_calendar | changed_event,new_event | calendar<calendarId
googleDriveTrigger | google_drive | changed_file,new_file | folder<folderToWatch
emailReadImap | imap | new_message | folder<mailbox
rssFeedReadTrigger | rss | new_entry | url<feedUrl
microsoftTeamsTrigger | microsoft_teams | new_message | team<teamId channel<channelId
zoomTrigger | zoom | meeting_ended,meeting_registration |
webflowTrigger | webflow | form_submitted | site<site
"""


@dataclass(frozen=True)
class Operation:
    """`inputs`: (our field, their places, a text around it).  `more`: a table of further fields."""

    actions: tuple[str, ...]
    inputs: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    more: str = ""
    many: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Service:
    kind: str
    connector: str
    usual: str
    address: str
    operations: dict[str, Operation] = field(default_factory=dict)


@dataclass(frozen=True)
class Starter:
    connector: str
    triggers: tuple[str, ...]
    inputs: tuple[tuple[str, tuple[str, ...], str], ...] = ()


@lru_cache(maxsize=1)
def services() -> dict[str, Service]:
    found: dict[str, Service] = {}
    last = None
    for line in re.sub(r"\n {6}", " ", _TABLE).strip().splitlines():
        if line.startswith("  ") and last is not None:
            name, _, rest = line.strip().partition(" = ")
            last.operations[name] = _operation(rest)
        else:
            kind, connector, usual, address = (part.strip() for part in line.split("|"))
            last = found[kind] = Service(kind, connector, usual, address)
    return found


def _operation(text: str) -> Operation:
    actions, _, fields = text.partition(" : ")
    path = None
    if actions.startswith("*"):
        actions, _, path_text = actions[1:].partition(">")
        path = tuple(path_text.split(".")) if path_text.strip() else ()
    words = fields.split()
    more = next((word[1:] for word in words if word.startswith("&")), "")
    names = tuple(name.strip() for name in actions.split(","))
    return Operation(names, _inputs([word for word in words if not word.startswith("&")]), more, path)


def _inputs(words: list[str]) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    found: list[tuple[str, tuple[str, ...], str]] = []
    for word in words:
        if "=" in word and "<" not in word:
            key, _, fixed = word.partition("=")
            found.append((key, (), fixed.strip('"')))
        else:
            key, _, places = word.partition("<")
            key, _, text = key.partition("~")
            found.append((key, tuple(places.split(",")), text))
    return tuple(found)


@lru_cache(maxsize=1)
def starters() -> dict[str, Starter]:
    found = {}
    for line in _TRIGGERS.strip().splitlines():
        kind, connector, names, fields = (part.strip() for part in line.split("|"))
        triggers = tuple(name.strip() for name in names.split(","))
        found[kind] = Starter(connector, triggers, _inputs(fields.split()))
    return found
