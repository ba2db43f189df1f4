"""Functions for texts: case, trimming, parts of a text, codes, addresses and phone numbers."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import Any
from urllib.parse import quote

from app.errors import MappingFailed
from app.flows.mapping.functions.function import Arg, Function, Unfit, bounded, each_text, shown
from app.flows.mapping.jsonpath import LIMIT_RESULTS
from app.flows.mapping.values import as_flag, as_json, as_text, is_empty

Args = tuple[str, ...]


def _upper(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, str.upper)


def _lower(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, str.lower)


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _title(value: Any, args: Args, zone: str) -> Any:
    def change(text: str) -> str:
        return _WORD.sub(lambda match: match.group()[:1].upper() + match.group()[1:].lower(), text)

    return each_text(value, change)


def _capitalize(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, lambda text: text[:1].upper() + text[1:])


def _trim(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, lambda text: " ".join(text.split()) if args[0] == "inside" else text.strip())


def _default(value: Any, args: Args, zone: str) -> Any:
    return args[0] if is_empty(value) else value


def _split(value: Any, args: Args, zone: str) -> Any:
    text = as_text(value)
    parts = re.split(r"\r\n|\r|\n", text) if args[0] == "\n" else text.split(args[0] or None)
    found = [part.strip() for part in parts if part.strip()]
    if len(found) > LIMIT_RESULTS:
        raise Unfit(f"it would become a list of {len(found):,} items, which is too long.")
    return found


def _replace(value: Any, args: Args, zone: str) -> Any:
    wanted, instead = args
    return each_text(value, lambda text: _replaced(text, wanted, instead))


def _replaced(text: str, wanted: str, instead: str) -> str:
    if not wanted:
        return text
    if text.count(wanted) * len(instead) > 4_000_000:
        raise Unfit("the text would become too long.")
    return text.replace(wanted, instead)


def _substring(value: Any, args: Args, zone: str) -> Any:
    start, length = (int(float(arg)) if arg else None for arg in args)
    begin = (start or 1) - 1 if (start or 1) > 0 else start
    return each_text(value, lambda text: _cut(text, begin or 0, length))


def _cut(text: str, begin: int, length: int | None) -> str:
    rest = text[begin:]
    return rest if length is None else rest[: max(length, 0)]


def _length(value: Any, args: Args, zone: str) -> Any:
    return len(value) if isinstance(value, list | dict) else len(as_text(value))


def _url_encode(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, lambda text: quote(_encodable(text), safe=""))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _base64(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, lambda text: base64.b64encode(text.encode("utf-8", "replace")).decode())


def _hash(name: str) -> Any:
    def apply(value: Any, args: Args, zone: str) -> Any:
        return each_text(
            value,
            lambda text: hashlib.new(
                name, text.encode("utf-8", "replace"), usedforsecurity=False
            ).hexdigest(),
        )

    return apply


def _json(value: Any, args: Args, zone: str) -> Any:
    try:
        return bounded(as_json(value))
    except MappingFailed as error:
        raise Unfit("it is nested too deeply to be written as JSON.") from error


def _from_json(value: Any, args: Args, zone: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{shown(value)} is not JSON.") from error


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_SPACES = re.compile(r"[\s\u200b\ufeff]+")
_EMAIL = re.compile(r"[^@\s,;<>]{1,64}@[^@\s,;<>]{1,253}")


def _email(value: Any, args: Args, zone: str) -> Any:
    def change(text: str) -> str:
        address = text[text.rfind("<") + 1 :].partition(">")[0] if "<" in text else text
        address = _SPACES.sub("", address.strip().removeprefix("mailto:")).lower()
        if not _EMAIL.fullmatch(address):
            raise Unfit(f"{shown(text)} is not an email address.")
        return address

    return each_text(value, change)


_COUNTRIES = """
1 US CA; 31 NL; 32 BE; 33 FR; 34 ES; 351 PT; 352 LU; 353 IE; 354 IS; 358 FI; 359 BG; 36 HU; 370 LT; 371 LV
372 EE; 385 HR; 386 SI; 39 IT; 40 RO; 41 CH; 420 CZ; 421 SK; 43 AT; 44 GB UK; 45 DK; 46 SE; 47 NO; 48 PL
49 DE; 30 GR; 52 MX; 55 BR; 54 AR; 56 CL; 57 CO; 60 MY; 61 AU; 62 ID; 63 PH; 64 NZ; 65 SG; 66 TH; 81 JP
82 KR; 84 VN; 86 CN; 90 TR; 91 IN; 92 PK; 971 AE; 972 IL; 966 SA; 27 ZA; 20 EG; 234 NG; 254 KE; 380 UA
"""
_CALLING_CODES = {
    country: code
    for code, *countries in (row.split() for row in _COUNTRIES.strip().replace("\n", ";").split(";"))
    for country in countries
}
_KEEPS_ZERO = frozenset({"39"})  # Italy writes the leading 0 in international numbers too


def _phone(value: Any, args: Args, zone: str) -> Any:
    code = _calling_code(args[0])
    return each_text(value, lambda text: _international(text, code))


def _calling_code(text: str) -> str:
    digits = text.strip().lstrip("+")
    return digits if digits.isdecimal() else _CALLING_CODES.get(text.strip().upper(), "")


def _international(text: str, code: str) -> str:
    plain = text.strip().removeprefix("tel:").replace("(0)", "" if code not in _KEEPS_ZERO else "0")
    plain = re.split(r"(?i)\s*(?:ext\.?|x|;)\s*\d", plain, maxsplit=1)[0]
    digits = "".join(str(int(char)) for char in plain if char.isdecimal())
    if plain.startswith("+"):
        number = digits
    elif digits.startswith("00"):
        number = digits[2:]
    elif code == "1" and len(digits) == 11 and digits.startswith("1"):
        number = digits
    elif code:
        number = code + (digits if code in _KEEPS_ZERO else digits.removeprefix("0"))
    else:
        raise Unfit(f"{shown(text)} has no country code.", 'Name the country: phone:"DE".')
    if not digits or not 7 <= len(number) <= 15 or number.startswith("0"):
        raise Unfit(f"{shown(text)} is not a phone number.")
    return f"+{number}"


_BREAK = re.compile(r"(?i)<\s*(?:br|/p|/div|/li|/h[1-6]|/tr)\b[^<>]*>")
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")


def _strip_html(value: Any, args: Args, zone: str) -> Any:
    return each_text(value, _without_tags)


def _without_tags(text: str) -> str:
    if len(text) > 500_000:
        raise Unfit("the text is too long to take the HTML out of it.")
    plain = html.unescape(_TAG.sub("", _BREAK.sub("\n", _without_hidden(text))))
    lines = (" ".join(line.split()) for line in plain.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _without_hidden(text: str) -> str:
    """Scripts, styles and comments; a plain scan, so that no text can make it slow."""
    lower, at = text.lower(), 0
    out: list[str] = []
    while True:
        starts = [(lower.find(start, at), start, end) for start, end in _HIDDEN_PARTS]
        found = [start for start in starts if start[0] >= 0]
        if not found:
            return "".join([*out, text[at:]])
        begin, _, end = min(found)
        out.append(text[at:begin])
        stop = lower.find(end, begin)
        if stop < 0:
            return "".join(out)
        at = stop + len(end)


_HIDDEN_PARTS = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))


def _not(value: Any, args: Args, zone: str) -> Any:
    flag = as_flag(value)
    return not flag if flag is not None else is_empty(value)


def _yes_no(value: Any, args: Args, zone: str) -> Any:
    flag = as_flag(value)
    return args[0] if (flag if flag is not None else not is_empty(value)) else args[1]


def _lookup(value: Any, args: Args, zone: str) -> Any:
    table = dict(_pairs(args[0]))
    found = table.get(as_text(value).strip().lower(), table.get("*"))
    if found is None:
        raise Unfit(f"{shown(value)} is not in the table.", "Add a line for it, or * for everything else.")
    return as_text(value) if found == "*" else found


def _pairs(text: str) -> list[tuple[str, str]]:
    rows = (row.partition("=") for row in re.split(r"[;\n]", text) if "=" in row)
    return [(left.strip().lower(), right.strip()) for left, _, right in rows]


FUNCTIONS = [
    Function("upper", "UPPERCASE", "All letters as capitals.", _upper),
    Function("lower", "lowercase", "All letters small.", _lower),
    Function("title", "Title Case", "Each word with a capital: ada lovelace → Ada Lovelace.", _title),
    Function(
        "capitalize", "First letter big", "The first letter as a capital, the rest as it is.", _capitalize
    ),
    Function(
        "trim",
        "Trim spaces",
        "Takes away spaces at both ends, or also doubled ones inside.",
        _trim,
        (Arg("Where", "ends", "choice", ("ends", "inside")),),
    ),
    Function(
        "default",
        "If empty, use…",
        "Another value where nothing was found.",
        _default,
        (Arg("Value to use", ""),),
        "Other",
        takes_nothing=True,
    ),
    Function("split", "Split into a list", "Cuts a text at a sign.", _split, (Arg("Sign", ","),), "Lists"),
    Function(
        "replace",
        "Replace text",
        "One piece of text by another.",
        _replace,
        (Arg("Find"), Arg("Replace with", "")),
    ),
    Function(
        "substring",
        "Part of a text",
        "From one character on (-4: the fourth from the end), so many characters.",
        _substring,
        (Arg("From character", "1", "number"), Arg("How many", "", "number")),
    ),
    Function("length", "Length", "How many characters, or items in a list.", _length, group="Numbers"),
    Function("strip_html", "Remove HTML", "The text of a page without its tags.", _strip_html),
    Function("email_normalize", "Clean email address", "Small letters, no spaces, no name.", _email),
    Function(
        "phone",
        "Phone number, international",
        "As +4915112345678. For numbers without a country code, name the country.",
        _phone,
        (Arg("Country", ""),),
    ),
    Function(
        "sha256",
        "SHA-256 hash",
        "A fingerprint, as advertising platforms ask for.",
        _hash("sha256"),
        group="Other",
    ),
    Function(
        "md5", "MD5 hash", "An older fingerprint, as Mailchimp and Gravatar use.", _hash("md5"), group="Other"
    ),
    Function("url_encode", "Encode for a URL", "Safe inside a web address.", _url_encode, group="Other"),
    Function("base64", "Base64", "Encoded as Base64.", _base64, group="Other"),
    Function("json", "Write as JSON", "The value as JSON text.", _json, group="Other"),
    Function("from_json", "Read JSON", "JSON text as data.", _from_json, group="Other"),
    Function("not", "The opposite", "true becomes false, false becomes true.", _not, group="Other"),
    Function(
        "yes_no",
        "Yes or no",
        "One word for true, another for false.",
        _yes_no,
        (Arg("If true", "Yes"), Arg("If false", "No")),
        "Other",
    ),
    Function(
        "lookup",
        "Translate by a table",
        "Like de=Germany; fr=France; *=Elsewhere (*=* keeps the value).",
        _lookup,
        (Arg("Table"),),
        "Other",
    ),
]
