"""Sending a message: by SMTP, or by a program like sendmail."""

from __future__ import annotations

import platform
import re
import smtplib
import ssl
import subprocess
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from pathlib import Path
from typing import Literal

import attrs

from ald_core.errors import InputError


@attrs.frozen
class Login:
    """Name and password for a server."""

    user: str
    password: str = attrs.field(repr=False)


def send_by_smtp(
    host: str,
    port: int,
    security: Literal["starttls", "tls", "none"],
    login: Login | None,
    message: EmailMessage,
    timeout: float,
) -> None:
    """Give a message to a server; raises OSError or SMTPException.

    Certificates are checked, against those that the machine trusts.
    """
    try:
        with _connection(host, port, security, timeout) as smtp:
            if login is not None:
                smtp.login(login.user, login.password)
            refused = smtp.send_message(message)
    except smtplib.SMTPAuthenticationError as error:  # a server may repeat what it was sent
        raise InputError(f"{host} does not let the user log in (code {error.smtp_code})") from None
    if refused:
        raise InputError(f"{host} refuses the address {', '.join(sorted(refused))}")


def _connection(
    host: str, port: int, security: Literal["starttls", "tls", "none"], timeout: float
) -> smtplib.SMTP:
    me = host_name()  # else smtplib asks the name service, without a limit of time
    if security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port, me, timeout=timeout, context=context)
    smtp = smtplib.SMTP(host, port, me, timeout=timeout)
    if security == "starttls":
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp


def host_name() -> str:
    """Name of this machine, as it may stand in an address."""
    return re.sub(r"[^A-Za-z0-9.-]", "", platform.node()) or "localhost"


def send_by_program(program: Path, message: EmailMessage, timeout: float) -> None:
    """Give a message to a program on its standard input; InputError with its words if it fails.

    `-t`: it reads the addresses in the message; `-i`: a line with one dot does not end it.
    """
    try:
        done = subprocess.run(
            [program, "-t", "-i"],
            input=message.as_bytes(policy=CRLF.clone(linesep="\n")),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{program} did not take the message within {timeout:g} seconds") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-200:]
        raise InputError(f"{program} failed (exit status {done.returncode}): {words}")
