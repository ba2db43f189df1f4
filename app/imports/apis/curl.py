"""A cURL command as people paste it: quotes of bash, cmd and PowerShell, line ends, all usual flags."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from app.errors import ConnectorInvalid
from app.imports.apis.samples import AsDocument, Collector, Recorded

_STARTS = re.compile(r"\s*(?:\$|>|PS [^>]*>)?\s*curl(?:\.exe)?(?=[\s^`\\])", re.IGNORECASE)
_LONGEST = 200_000
_ALONE = re.compile(
    r"compressed|location(-trusted)?|silent|show-error|insecure|include|verbose|fail(-with-body)?|globoff|http[\d.]+"
    r"|progress-bar|tlsv1[.\d]*|ipv[46]|path-as-is|anyauth|basic|digest|ntlm|negotiate|remote-name|post30[123]|raw"
    r"|ssl-reqd|tcp-nodelay|disable|get|head|no-.*"
)
_SHORT_ALONE = frozenset("LskSifvgN#01246OJRq")
_SHORT = {
    "X": "request",
    "H": "header",
    "d": "data",
    "F": "form",
    "u": "user",
    "b": "cookie",
    "A": "user-agent",
    "e": "referer",
    "G": "get",
    "I": "head",
    "T": "upload-file",
    "o": "output",
    "x": "proxy",
    "m": "max-time",
    "c": "cookie-jar",
    "w": "write-out",
    "D": "dump-header",
    "K": "config",
    "E": "cert",
    "r": "range",
    "y": "speed-time",
    "Y": "speed-limit",
    "z": "time-cond",
    "U": "proxy-user",
}
_DATA = frozenset(("data", "data-raw", "data-binary", "data-ascii", "data-urlencode", "json"))


def is_curl(text: str) -> bool:
    return _STARTS.match(text[:500]) is not None


def read_curl(text: str, file: str) -> AsDocument:
    """One command, or several one after the other; all to the first one's host."""
    if len(text) > _LONGEST:
        raise ConnectorInvalid("the command is too long.", file=file)
    words = _words(text, file)
    commands: list[list[str]] = []
    for word in words:
        if re.fullmatch(r"(?:.*[\\/])?curl(?:\.exe)?", word, re.IGNORECASE) and not _is_value(commands):
            commands.append([])
        elif commands and word not in (";", "&&", "|"):
            commands[-1].append(word)
    found = [one for command in commands[:100] if (one := _command(command)) is not None]
    if not found:
        raise ConnectorInvalid(
            "the command names no address.", file=file, remedy="Copy all of it, from curl to the end."
        )
    origins = list(dict.fromkeys(_origin(one.url) for one in found))
    collector = Collector(urlsplit(found[0].url).hostname or "API", origins[0])
    for one in found:
        if _origin(one.url) == origins[0]:
            collector.add(one)
    notes = [f"{other} is another service: paste its command by itself." for other in origins[1:]]
    return collector.document(notes)


def _is_value(commands: list[list[str]]) -> bool:
    return bool(commands and commands[-1]) and commands[-1][-1] in ("-A", "--user-agent")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


# --------------------------------------------------------------------------------------- words


def _words(text: str, file: str) -> list[str]:
    """As the shell would split it; which shell is seen from its line ends and quotes."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"^\s*(?:\$|PS [^>\n]*>|>)\s*(?=curl)", "", text, flags=re.MULTILINE)
    is_cmd = re.search(r"\^\s*\n|\^\"", text) is not None
    if is_cmd:
        text = re.sub(r"\^\s*\n", " ", text)
        text = re.sub(r"\^(.)", r"\1", text)
    text = re.sub(r"\\\n|`\n", " ", text)
    return _Splitter(text, file).words()


class _Splitter:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0

    def words(self) -> list[str]:
        found: list[str] = []
        while self._at < len(self._text):
            if self._text[self._at].isspace():
                self._at += 1
            else:
                word = ""
                while self._at < len(self._text) and not self._text[self._at].isspace():
                    letter = self._text[self._at]
                    if letter == "$" and self._text[self._at + 1 : self._at + 2] == "'":
                        self._at += 1
                        word += self._quoted("'", escapes=True)
                    elif letter in "'\"":
                        word += self._quoted(letter, escapes=letter == '"')
                    elif letter == "\\" and self._at + 1 < len(self._text):
                        word += self._text[self._at + 1]
                        self._at += 2
                    else:
                        word += letter
                        self._at += 1
                found.append(word)
        return found

    def _quoted(self, mark: str, *, escapes: bool) -> str:
        ansi = mark == "'" and escapes
        start = self._at
        self._at += 1
        word: list[str] = []
        while self._at < len(self._text):
            letter = self._text[self._at]
            following = self._text[self._at + 1 : self._at + 2]
            if escapes and letter == "\\" and following:
                word.append(self._escaped(following, ansi))
            elif letter == "`" and mark == '"' and following in ('"', "`", "$"):
                word.append(following)
                self._at += 2
            elif letter == mark and following == mark and mark == '"':  # cmd and PowerShell
                word.append(mark)
                self._at += 2
            elif letter == mark:
                self._at += 1
                return "".join(word)
            else:
                word.append(letter)
                self._at += 1
        raise ConnectorInvalid(
            f"the quote {mark} after “{self._text[max(0, start - 20) : start]}” is never closed.",
            file=self._file,
            remedy="Copy the whole command.",
        )

    def _escaped(self, following: str, ansi: bool) -> str:
        if ansi and following in "nrt":
            self._at += 2
            return {"n": "\n", "r": "\r", "t": "\t"}[following]
        code = re.match(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", self._text[self._at : self._at + 6])
        if ansi and code:
            self._at += len(code[0])
            return chr(int(code[1] or code[2], 16))
        self._at += 2
        return following if ansi or following in '"\\$`!' else f"\\{following}"


# -------------------------------------------------------------------------------------- a command


def _command(words: list[str]) -> Recorded | None:
    told = _flags(words)
    url = next((value for name, value in told if name == "url"), "")
    if not url:
        return None
    url = url if "://" in url else f"https://{url}"
    one = Recorded("", url)
    data: list[str] = []
    for name, value in told:
        _apply(one, name, value, data)
    names = {name for name, _ in told}
    user = urlsplit(url).username
    if user:
        one.basic = (user, urlsplit(url).password or "")
        one.url = url.replace(urlsplit(url).netloc, urlsplit(url).netloc.rpartition("@")[2], 1)
    text = "&".join(data)
    if "get" in names:
        one.query += [(n, v) for n, _, v in (pair.partition("=") for pair in text.split("&") if pair)]
    else:
        one.text = text
    default = "HEAD" if "head" in names else "POST" if (text or one.form or one.files) else "GET"
    one.method = (one.method or ("GET" if "get" in names else default)).upper()
    return one


def _flags(words: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            found.append(("url", word))
            continue
        name, value, takes = _flag(word)
        if takes and value is None:
            value = words[at] if at < len(words) else ""
            at += 1
        found.append((name, value or ""))
    return found


def _flag(word: str) -> tuple[str, str | None, bool]:
    """Name, value that hangs on it, and whether it takes one."""
    if word.startswith("--"):
        name, mark, value = word[2:].partition("=")
        if _ALONE.fullmatch(name):
            return name, None, False
        return name, value if mark else None, True
    letters = word[1:]
    while letters and letters[0] in _SHORT_ALONE:
        letters = letters[1:]
    if not letters:
        return "", None, False
    name = _SHORT.get(letters[0], "")
    if name in ("get", "head", ""):
        return name, None, False
    return name, letters[1:] or None, True


def _apply(one: Recorded, name: str, value: str, data: list[str]) -> None:
    if name == "request":
        one.method = value
    elif name == "header":
        key, mark, rest = value.partition(":")
        if mark and rest.strip():
            one.headers.append((key.strip(), rest.strip()))
    elif name in _DATA:
        if name == "json":
            one.content_type = "application/json"
        data.append(value.removeprefix("=") if name == "data-urlencode" else value)
    elif name in ("form", "form-string"):
        key, _, rest = value.partition("=")
        if rest.startswith(("@", "<")):
            one.files.append(key)
        else:
            one.form.append((key, rest.partition(";type=")[0]))
            one.content_type = "multipart/form-data"
    elif name == "user":
        user, _, password = value.partition(":")
        one.basic = (user, password)
    elif name == "oauth2-bearer":
        one.headers.append(("Authorization", f"Bearer {value}"))
    elif name == "upload-file":
        one.method = one.method or "PUT"
        one.text, one.content_type = "file", "application/octet-stream"
        data.append("file")
