"""Who alerts are sent to, on real sockets: a webhook and a mail server, each with what came in and a way to make it fail."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


@dataclass
class Webhook:
    """A receiver: it answers `status`, after `before` has run."""

    url: str
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    before: Callable[[], None] = lambda: None


@contextmanager
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            there.before()
            there.posted.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(there.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = Webhook(f"http://127.0.0.1:{server.server_address[1]}/hook")
    with _serving(server):
        yield there


@dataclass
class MailServer:
    """A mail server that speaks as much SMTP as a client needs; `refuses` are recipients that it takes nothing for. `encrypted` says of
    each mail whether it came over TLS, `logins` who said which password, and whether over TLS.
    """

    port: int
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)


@contextmanager
def mail_server(*, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """With `starttls` it offers to go over to TLS, with `tls` it speaks nothing else; either asks who sends."""

    class Handler(socketserver.StreamRequestHandler):
        encrypted = False

        def setup(self) -> None:
            super().setup()
            if tls is not None:
                self.encrypt(tls)

        def encrypt(self, context: ssl.SSLContext) -> None:
            self.connection = context.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.encrypted = True

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while raw := self.rfile.readline():
                verb, _, rest = raw.decode().strip().partition(" ")
                match verb.upper():
                    case "EHLO" if starttls is not None and not self.encrypted:
                        self.say("250-here\r\n250 STARTTLS")
                    case "EHLO" if self.encrypted:
                        self.say("250-here\r\n250 AUTH PLAIN")
                    case "EHLO" | "HELO":
                        self.say("250 here")
                    case "STARTTLS" if starttls is not None:
                        self.say("220 go on")
                        self.encrypt(starttls)
                    case "AUTH":
                        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
                        there.logins.append((user, password, self.encrypted))
                        self.say("235 known")
                    case "RCPT":
                        to = rest.partition("<")[2].partition(">")[0]
                        there.recipients.append(to)
                        self.say("550 nobody of that name" if to in there.refuses else "250 ok")
                    case "DATA":
                        self.say("354 go on")
                        lines = []
                        while (line := self.rfile.readline().decode()) != ".\r\n":
                            lines.append(line)
                        there.mails.append(message_from_string("".join(lines)))
                        there.encrypted.append(self.encrypted)
                        self.say("250 taken")
                    case "QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 ok")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    there = MailServer(cast("tuple[str, int]", server.server_address)[1])
    with _serving(server):
        yield there


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
