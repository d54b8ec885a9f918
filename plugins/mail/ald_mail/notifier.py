"""The notifier `mail`: its options, and which way a message goes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import deep_iterable, gt, min_len, optional

from ald_core.errors import InputError
from ald_core.options import option
from ald_core.roles import Notifier
from ald_core.types import Notice
from ald_mail.message import address, make_message
from ald_mail.password import find_password
from ald_mail.sending import Login, host_name, send_by_program, send_by_smtp

PORTS = {"starttls": 587, "tls": 465, "none": 25}
LOCAL = ("localhost", "127.0.0.1", "::1")
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")


def _check_address(instance: object, attribute: Any, value: str) -> None:
    del instance, attribute
    address(value)


def _check_server(instance: object, attribute: Any, value: str) -> None:
    del instance, attribute
    if not _SERVER.fullmatch(value):
        raise ValueError(f"{value!r} is no server; write host or host:port")


@attrs.frozen(kw_only=True)
class MailNotifier(Notifier):
    """Send notices by e-mail, through an SMTP server or the program sendmail."""

    name: ClassVar[str] = "mail"

    to: tuple[str, ...] = option(
        help="addresses", validator=[min_len(1), deep_iterable(_check_address)]
    )
    sender: str | None = option(
        None,
        help="address in From; default: this user on this host",
        validator=optional(_check_address),
    )
    server: str | None = option(
        None,
        help="SMTP server, host or host:port; default: the program sendmail",
        validator=optional(_check_server),
    )
    security: Literal["starttls", "tls", "none"] = option(
        "starttls", help="how the connection to the server is encrypted (ports 587, 465, 25)"
    )
    user: str | None = option(None, help="name to log in with; default: no login")
    password_variable: str | None = option(
        None,
        help="environment variable that holds the password; default: the server's entry in ~/.netrc",
        validator=optional(min_len(1)),
    )
    sendmail: str = option(
        "sendmail", help="program that takes a message, name or path", validator=min_len(1)
    )
    timeout: float = option(
        10.0, help="seconds to wait for each answer of the server", validator=gt(0.0)
    )

    def __attrs_post_init__(self) -> None:
        if self.user is not None and self.server is None:
            raise ValueError("user is given without a server to log in at")
        if self.user is not None and self.security == "none" and self._place()[0] not in LOCAL:
            raise ValueError('a password is not sent unencrypted; security = "starttls" or "tls"')

    def notify(self, notice: Notice) -> None:
        """Send one message to all addresses; raises OSError, SMTPException or InputError with the reason."""
        message = make_message(notice, self.sender or _myself(), self.to)
        if self.server is None:
            send_by_program(self._program(), message, self.timeout)
            return
        host, port = self._place()
        login = None
        if self.user is not None:
            login = Login(self.user, find_password(host, self.user, self.password_variable))
        send_by_smtp(host, port, self.security, login, message, self.timeout)

    def secrets(self) -> tuple[str, ...]:
        """The variable with the password."""
        return () if self.password_variable is None else (self.password_variable,)

    def warnings(self) -> list[str]:
        """A missing program or password, which may be there when it is needed."""
        try:
            if self.server is None:
                self._program()
            elif self.user is not None:
                find_password(self._place()[0], self.user, self.password_variable)
        except InputError as error:
            return [str(error)]
        return []

    def _place(self) -> tuple[str, int]:
        found = _SERVER.fullmatch(self.server or "")
        assert found is not None, self.server  # noqa: S101  the validator has seen it
        port = found["port"]
        return found["host"].strip("[]"), int(port) if port else PORTS[self.security]

    def _program(self) -> Path:
        """Where sendmail is, which most users do not have in PATH."""
        places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib"])
        found = shutil.which(self.sendmail, path=places)
        if found is None:
            raise InputError(
                f"there is no program {self.sendmail!r}; name it (sendmail), or give an SMTP server (server)"
            )
        return Path(found)


def _myself() -> str:
    user = re.sub(r"[^A-Za-z0-9._-]", "", os.environ.get("USER", "")) or "ald"
    return f"{user}@{host_name()}"
