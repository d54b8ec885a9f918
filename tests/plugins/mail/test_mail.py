"""Mail through a real SMTP server (aiosmtpd) and through a program that stands for sendmail."""

import email
import email.policy
import socket
import ssl
import threading
import time
from pathlib import Path

import attrs
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from ald_core.errors import InputError
from ald_core.options import build
from ald_core.types import Notice
from ald_mail.notifier import MailNotifier

# What the server has to say about its own safety:
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

SECRET = "s3cret pass"
NOTICE = Notice(
    "failed", Path("/data/côte"), "ald: côte: failed: no disk", "The disk is full.\n.\nEnd 3 Å\n"
)


@attrs.define
class Sink:
    """What a server has taken."""

    received: list = attrs.field(factory=list)
    logins: list = attrs.field(factory=list)
    encrypted: list = attrs.field(factory=list)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  named by aiosmtpd
        self.received.append(envelope)
        self.encrypted.append(
            session.ssl is not None or server.transport.get_extra_info("sslcontext")
        )
        return "250 taken"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  named by aiosmtpd
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    def login(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        right = data.password.decode() == SECRET
        return AuthResult(success=right, handled=right)

    def message(self):
        """The only one."""
        (envelope,) = self.received
        content = envelope.original_content.replace(b"\r\n", b"\n")
        return email.message_from_bytes(content, policy=email.policy.default)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def serve(authority, monkeypatch, tmp_path):
    """Starts a server; returns what it has taken and where it is."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    started = []

    def serve(security="none", *, trusted=True, auth=False):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        sink = Sink()
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]
        more = {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
        if security == "tls":
            more = {"ssl_context": context, "server_hostname": "localhost"}
        if auth:
            more |= {"authenticator": sink.login, "auth_required": True}
            more |= {"auth_require_tls": security == "starttls"}
        controller = Controller(sink, hostname="localhost", port=port, **more)
        if security == "tls":  # it would speak TLS to itself without knowing the authority
            place = ("localhost", port)
            controller._trigger_server = lambda: socket.create_connection(place).close()
        controller.start()
        started.append(controller)
        return sink, f"localhost:{port}"

    yield serve
    for controller in started:
        controller.stop()


def notifier(server=None, **more):
    return MailNotifier(to=("me@example.org", "you@example.org"), server=server, **more)


def test_a_notice_arrives_whole(serve):
    sink, server = serve()
    notifier(server, security="none", sender="ald@example.org").notify(NOTICE)
    (envelope,) = sink.received
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "ald@example.org",
        ["me@example.org", "you@example.org"],
    )
    assert sink.message()["Subject"] == "ald: côte: failed: no disk"
    assert sink.message()["To"] == "me@example.org, you@example.org"
    assert sink.message()["Auto-Submitted"] == "auto-generated"
    assert sink.message().get_content() == NOTICE.text


def test_without_sender_it_comes_from_this_user_on_this_host(serve, monkeypatch):
    monkeypatch.setenv("USER", "jane\nBcc: x@y.z")
    monkeypatch.setattr("platform.node", lambda: "node 1.cluster")
    sink, server = serve()
    notifier(server, security="none").notify(NOTICE)
    assert sink.message()["From"] == "janeBccxy.z@node1.cluster"


@pytest.mark.parametrize("title", ["ald: a\r\nBcc: eve@example.org\r\n\r\nHello", "ald: \udcff\0x"])
def test_a_title_cannot_become_a_header(serve, title):
    sink, server = serve()
    notifier(server, security="none").notify(attrs.evolve(NOTICE, title=title))
    assert sink.message()["Bcc"] is None
    assert "eve@example.org" not in sink.received[0].rcpt_tos
    assert sink.message()["Subject"].startswith("ald: ")
    assert sink.message().get_content() == NOTICE.text


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encryption_and_login_with_a_password_from_the_environment(serve, security, monkeypatch):
    sink, server = serve(security, auth=True)
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    options = {"security": security, "user": "me", "password_variable": "MAIL_PASSWORD"}
    assert notifier(server, **options).warnings() == []
    notifier(server, **options).notify(NOTICE)
    assert sink.logins == [("me", SECRET)]
    assert all(sink.encrypted)
    assert SECRET not in sink.received[0].original_content.decode()


def test_a_password_from_netrc(serve, monkeypatch, tmp_path):
    sink, server = serve(auth=True)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text(f'machine localhost login me password "{SECRET}"\n')
    notifier(server, security="none", user="me").notify(NOTICE)
    assert sink.logins == [("me", SECRET)]
    with pytest.raises(InputError, match="holds no password of you for the machine localhost"):
        notifier(server, security="none", user="you").notify(NOTICE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("machine localhost login me s3cret pass", "is not a valid netrc file"),
        ("s3cret", "is not a valid netrc file"),
        ("machine other login me password s3cret", "holds no password of me"),
        (b"\xff", "is not a valid netrc file"),
    ],
)
def test_a_netrc_that_does_not_help_is_told_without_its_contents(
    monkeypatch, tmp_path, content, words
):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if content is not None:
        (tmp_path / "netrc").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    one = notifier("localhost:9", security="none", user="me")
    (warning,) = one.warnings()
    assert words in warning
    with pytest.raises(InputError) as caught:
        one.notify(NOTICE)
    assert str(caught.value) == warning
    assert "s3cret" not in warning


def test_a_wrong_password_is_not_repeated(serve, monkeypatch):
    _, server = serve(auth=True)
    monkeypatch.setenv("MAIL_PASSWORD", "wr0ng")
    one = notifier(server, security="none", user="me", password_variable="MAIL_PASSWORD")
    with pytest.raises(InputError, match=r"does not let the user log in \(code 535\)") as caught:
        one.notify(NOTICE)
    assert "wr0ng" not in f"{caught.value!r} {caught.value.__cause__!r}"
    monkeypatch.delenv("MAIL_PASSWORD")
    with pytest.raises(InputError, match=r"variable MAIL_PASSWORD.* is not set"):
        one.notify(NOTICE)


def test_a_certificate_that_nobody_trusts_is_refused_before_the_login(serve, monkeypatch):
    sink, server = serve("starttls", trusted=False, auth=True)
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    one = notifier(server, user="me", password_variable="MAIL_PASSWORD")
    with pytest.raises(ssl.SSLCertVerificationError):
        one.notify(NOTICE)
    assert sink.logins == sink.received == []


def test_an_address_that_the_server_refuses(serve):
    sink, server = serve()
    one = MailNotifier(to=("me@example.org", "nobody@example.org"), server=server, security="none")
    with pytest.raises(InputError, match=r"refuses the address nobody@example\.org"):
        one.notify(NOTICE)
    assert sink.received[0].rcpt_tos == ["me@example.org"]


def test_a_server_that_does_not_answer_is_given_up():
    with socket.create_server(("localhost", 0)) as silent:
        one = notifier(f"localhost:{silent.getsockname()[1]}", security="none", timeout=0.2)
        begun = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            one.notify(NOTICE)
        assert time.monotonic() - begun < 5
    with pytest.raises(OSError, match="refused"):
        one.notify(NOTICE)


# ---------------------------------------------------------------- sendmail


@pytest.fixture
def program(tmp_path):
    """Makes a program of a shell script."""

    def program(text):
        path = tmp_path / "my sendmail"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return program


def test_sendmail_is_given_the_message(program, tmp_path):
    one = notifier(sendmail=program(f'cat >"{tmp_path}/got"; echo "$@" >"{tmp_path}/arguments"'))
    assert one.warnings() == []
    one.notify(NOTICE)
    assert (tmp_path / "arguments").read_text() == "-t -i\n"
    content = (tmp_path / "got").read_bytes()
    assert b"\r" not in content
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["To"] == "me@example.org, you@example.org"
    assert message.get_content() == NOTICE.text


def test_sendmail_that_fails_hangs_or_is_not_there(program):
    with pytest.raises(InputError, match=r"failed \(exit status 75\): no queue"):
        notifier(sendmail=program("echo no queue >&2; exit 75")).notify(NOTICE)
    with pytest.raises(InputError, match=r"did not take the message within 0\.2 seconds"):
        notifier(sendmail=program("exec sleep 60"), timeout=0.2).notify(NOTICE)
    absent = notifier(sendmail="no-such-program")
    with pytest.raises(InputError, match="no program 'no-such-program'"):
        absent.notify(NOTICE)
    assert "no program 'no-such-program'" in absent.warnings()[0]


def test_several_threads_send_at_once(serve):
    sink, server = serve()
    one = notifier(server, security="none")
    threads = [threading.Thread(target=one.notify, args=(NOTICE,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sink.received) == 4


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "notify[0].to: is required (addresses)"),
        ({"to": []}, "notify[0].to: "),
        ({"to": ["me"]}, "notify[0].to: 'me' is no e-mail address; write name@example.org"),
        ({"to": ["a@b.c\nBcc: d@e.f"]}, "is no e-mail address"),
        ({"to": ["-oQ/tmp@b.c"]}, "is no e-mail address"),
        ({"to": ["a@b.c, d@e.f"]}, "is no e-mail address"),
        ({"to": ["a@b.c"], "sender": "nobody"}, "notify[0].sender: 'nobody' is no e-mail address"),
        ({"to": ["a@b.c"], "server": "smtp://x"}, "notify[0].server: 'smtp://x' is no server"),
        ({"to": ["a@b.c"], "security": "ssl"}, "notify[0].security: 'ssl' is not possible"),
        ({"to": ["a@b.c"], "events": ["failled"]}, "did you mean 'failed'?"),
        ({"to": ["a@b.c"], "user": "me"}, "user is given without a server"),
        ({"to": ["a@b.c"], "password": "x"}, "notify[0].password: no such option"),
        (
            {"to": ["a@b.c"], "server": "x.org", "user": "me", "security": "none"},
            "a password is not sent unencrypted",
        ),
    ],
)
def test_mistakes_in_the_run_file_are_one_sentence(table, problem):
    made, problems = build(MailNotifier, table, "notify[0]", Path())
    assert made is None
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("server", "security", "place"),
    [
        ("smtp.example.org", "starttls", ("smtp.example.org", 587)),
        ("smtp.example.org", "tls", ("smtp.example.org", 465)),
        ("smtp.example.org", "none", ("smtp.example.org", 25)),
        ("smtp.example.org:2525", "tls", ("smtp.example.org", 2525)),
        ("[::1]:2525", "none", ("::1", 2525)),
    ],
)
def test_ports(server, security, place):
    assert notifier(server, security=security)._place() == place
