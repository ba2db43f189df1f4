"""Which node becomes what."""

from __future__ import annotations

from collections.abc import Callable

from app.bring_flows.n8n_http import web_request
from app.bring_flows.n8n_lists import aggregate, limit, split_out, summarize
from app.bring_flows.n8n_start import respond
from app.bring_flows.n8n_values import open_request, open_values, set_values, stop_with_error, wait
from app.bring_flows.values import Ref
from app.bring_flows.work import Done, Work


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
}

WHOLE_LISTS: dict[str, Callable[[Work, Ref | None], Done]] = {
    "limit": limit,
    "aggregate": aggregate,
    "summarize": summarize,
}
# A merge takes all that comes; a loop goes through its list itself.
TAKES_ALL = frozenset((*WHOLE_LISTS, "merge", "splitInBatches"))
_CARRIED = frozenset(("httpRequest", "set", "wait", "stopAndError", *WHOLE_LISTS))


def convert(work: Work) -> Done:
    kind = work.node.kind
    if (known := _CONVERTERS.get(kind)) is not None and not work.node.foreign:
        done = known(work)
        if kind in _CARRIED:
            work.shared.report.carried(work.node.name)
        return done
    return open_request(work, f"There is no connector for {kind} yet.")


def convert_list(work: Work, items: Ref | None) -> Done:
    done = WHOLE_LISTS[work.node.kind](work, items)
    work.shared.report.carried(work.node.name)
    return done
