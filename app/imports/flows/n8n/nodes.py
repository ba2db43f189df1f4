"""Which node becomes what."""

from __future__ import annotations

from collections.abc import Callable

from app.imports.flows.n8n.data import (
    aggregate,
    call_flow,
    crypto,
    date_time,
    email,
    feed,
    graphql,
    html_template,
    item_lists,
    limit,
    open_request,
    open_values,
    set_values,
    split_out,
    stop_with_error,
    summarize,
    unchanged,
    wait,
)
from app.imports.flows.n8n.http import web_request
from app.imports.flows.n8n.services import service_of, service_step
from app.imports.flows.n8n.start import respond
from app.imports.flows.values import Ref
from app.imports.flows.work import Done, Work


def _nothing(work: Work) -> Done:
    """It does nothing there either."""
    work.settings.ignore(*work.settings.data)
    work.shared.report.carried(work.node.name)
    return Done()


def _respond(work: Work) -> Done:
    respond(work)
    if not work.settings.gaps:
        work.shared.report.carried(work.node.name)
    return Done()


_SAME_MERGES = frozenset(
    ("append", "chooseBranch", "wait", "passThrough", "combineByPosition", "mergeByPosition", "mergeByIndex")
)


def _merge(work: Work) -> Done:
    """Branches are done one after another, so what comes behind them has all their data."""
    settings = work.settings
    mode = settings.text("mode", "append")
    how = settings.text("combineBy") or settings.text("combinationMode") or mode
    settings.ignore(*settings.data)
    if (mode if mode != "combine" else how) not in _SAME_MERGES:
        settings.leave_out(f"joining two lists ({how})", "Pick each value from the step it belongs to.")
    else:
        work.shared.report.carried(work.node.name)
    return Done()


def _html(work: Work) -> Done:
    return html_template(work) or open_values(work, "It takes values out of a page; nothing here does that.")


_FILES = (
    *("convertToFile", "extractFromFile", "readWriteFile", "readBinaryFile", "readBinaryFiles", "ftp"),
    *("writeBinaryFile", "spreadsheetFile", "moveBinaryData", "compression", "readPDF", "editImage"),
)
_TABLES = (
    *("postgres", "mySql", "microsoftSql", "mongoDb", "redis", "dataTable"),
    "n8nTrainingCustomerDatastore",
)
_AI = "AI steps have no counterpart here."
_UNFIT = {
    **dict.fromkeys(_FILES, "Files are not passed from step to step here."),
    **dict.fromkeys(_TABLES, "No database is asked directly here; use its web interface in a web request."),
    **dict.fromkeys(("executeCommand", "ssh"), "No commands are run on a machine here."),
    **dict.fromkeys(("xml", "markdown", "compareDatasets"), "Nothing here changes a text in this way."),
    "form": "No pages are shown between steps here; the sender is answered at once.",
    "n8n": "It works on n8n itself.",
    "openAi": _AI,
}


def _code(work: Work) -> Done:
    return open_values(work, "It is a program. Set what it worked out, for example with functions of fields.")


_CONVERTERS: dict[str, Callable[[Work], Done]] = {
    "httpRequest": web_request,
    "set": set_values,
    "wait": wait,
    "noOp": _nothing,
    "merge": _merge,
    "stopAndError": stop_with_error,
    "respondToWebhook": _respond,
    "splitOut": split_out,
    "code": _code,
    "function": _code,
    "functionItem": _code,
    "html": _html,
    "dateTime": date_time,
    "crypto": crypto,
    "emailSend": email,
    "executeWorkflow": call_flow,
    "graphql": graphql,
    "rssFeedRead": feed,
}

WHOLE_LISTS: dict[str, Callable[[Work, Ref | None], Done]] = {
    "limit": limit,
    "aggregate": aggregate,
    "summarize": summarize,
    "itemLists": item_lists,
    "sort": unchanged,
    "removeDuplicates": unchanged,
}
# A merge takes all that comes; a loop goes through its list itself.
TAKES_ALL = frozenset((*WHOLE_LISTS, "merge", "splitInBatches"))
_CARRIED = frozenset(("httpRequest", "set", "stopAndError", *WHOLE_LISTS))


def convert(work: Work) -> Done:
    kind = work.node.kind
    if (known := _CONVERTERS.get(kind)) is not None and not work.node.foreign:
        done = known(work)
        if kind in _CARRIED:
            work.shared.report.carried(work.node.name)
        return done
    if "langchain" in work.node.foreign:
        return open_values(work, _AI)
    if kind in _UNFIT:
        return open_values(work, _UNFIT[kind])
    if (service := service_of(kind)) is not None:
        return service_step(work, service)
    return open_request(work, f"There is no connector for {kind} yet.")


def convert_list(work: Work, items: Ref | None) -> Done:
    done = WHOLE_LISTS[work.node.kind](work, items)
    if work.node.kind not in ("sort", "removeDuplicates"):
        work.shared.report.carried(work.node.name)
    return done
