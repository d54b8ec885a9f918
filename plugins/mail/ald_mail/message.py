"""A notice as an e-mail message."""

from __future__ import annotations

from collections.abc import Sequence
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ald_core.types import Notice


def address(text: str) -> Address:
    """An address like name@example.org; ValueError if it is none, or could be taken for something else."""
    try:
        found = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        found = None
    if (
        found is None
        or not found.domain
        or not text.isascii()
        or not text.isprintable()
        or text.startswith("-")
    ):
        raise ValueError(f"{text!r} is no e-mail address; write name@example.org")
    return found


def make_message(notice: Notice, sender: str, to: Sequence[str]) -> EmailMessage:
    """The message; what is no text in a title or study name is replaced, so that it cannot become a header."""
    message = EmailMessage()
    message["Subject"] = _line(notice.title)
    message["From"] = address(sender)
    message["To"] = tuple(address(text) for text in to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=address(sender).domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    message.set_content(_text(notice.text), charset="utf-8")
    return message


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in _text(text))


def _text(text: str) -> str:
    """Without the half characters by which Python names files that are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
