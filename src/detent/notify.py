"""Sends word of alerts, by webhook and by mail: out of the store's outbox, at least once, in a thread that nothing else waits for.

A channel that fails is tried again later, more and more seldom; what was raised meanwhile waits in the store. The address of a receiver is
a secret (whoever knows a webhook can post to it): no error shows it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import aiohttp

from detent.alerting import headline, payload, told
from detent.errors import CouldNotRun
from detent.manifest.notify_rules import ADDRESS
from detent.manifest.rules import is_loopback
from detent.store import Store
from detent.store.alerts import LONGEST_PAUSE_S
from detent.terms import Alert, Notify
from detent.visible import line

TIMEOUT_S = 10.0
"""How long a receiver may take for one message; a mail server for each step of one."""

TAKEN_FOR_S = 120.0
"""How long a message is its sender's alone: longer than it can take. After that whoever took it is taken for dead."""

FORGOTTEN_AFTER = timedelta(seconds=2 * LONGEST_PAUSE_S)
"""A failure that was not met again for so long is none any more: somebody else has told that alert, or its cause is long over."""

SECRET_ENV = "DETENT_WEBHOOK_SECRET"  # noqa: S105 the name of a variable
"""Where this variable is set, a webhook's body is signed with it: `x-detent-signature: sha256=` and the HMAC-SHA256 in hex."""

Send = Callable[[Alert, Notify, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people: by which key of [notify] it is set up, and how it sends.

    `ready` raises CouldNotRun where the variable holds no address, `send` also for what was not taken.
    """

    name: str
    variable: Callable[[Notify], str | None]
    ready: Callable[[Notify, Mapping[str, str]], object]
    send: Send


class Notifier:
    """Tells what there is to tell over one channel."""

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Notify],
        channel: Channel,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._settings = settings
        self._channel = channel
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._failed: dict[str, tuple[str, datetime]] = {}

    def step(self) -> int:
        """Send until nothing is left or a receiver fails; how many were taken.

        Raises CouldNotRun that says what keeps it from sending, also between two tries, and in the same words for as long as it is the
        same: whoever hears it every second says it once.
        """
        settings, sent = self._settings(), 0
        if self._channel.variable(settings) is None:
            self._failed.clear()
            return 0
        while (taken := self._store.state.take_delivery(self._channel.name, self._clock(), for_s=TAKEN_FOR_S)) is not None:
            alert, delivery = taken
            try:
                self._channel.send(alert, settings, self._environ)
            except CouldNotRun as error:
                self._store.state.not_sent(delivery, error.message, self._clock())
                self._failed[alert.id] = error.message, self._clock()
                raise self._kept_from(error) from None
            self._store.state.sent(delivery, self._clock())
            self._failed.pop(alert.id, None)
            sent += 1
        self._channel.ready(settings, self._environ)  # or nobody would hear of a variable that is not set before the first page
        since = self._clock() - FORGOTTEN_AFTER
        self._failed = {one: (why, at) for one, (why, at) in self._failed.items() if at > since}
        if self._failed:
            raise self._kept_from(None)
        return sent

    def _kept_from(self, error: CouldNotRun | None) -> CouldNotRun:
        """All that its last tries failed for, whichever alert it was."""
        whys = sorted({why for why, _ in self._failed.values()})
        return CouldNotRun("; ".join(whys), hint=None if error is None else error.hint)


def _address(name: str | None, key: str, environ: Mapping[str, str], schemes: tuple[str, ...]) -> SplitResult:
    """The address in a variable. Raises CouldNotRun that does not show it."""
    text = environ.get(name or "", "").strip()
    if not text:
        raise CouldNotRun(f"nothing to send to in `{name}`, which [notify] names as {key}", hint="set the variable for `detent serve`")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CouldNotRun(f"no address of {' or '.join(f'{s}://' for s in schemes)} in `{name}`: `(not shown)`", hint="set it again")
    return parts


# ── webhook ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _webhook(settings: Notify, environ: Mapping[str, str]) -> SplitResult:
    parts = _address(settings.webhook_env, "webhook_env", environ, ("http", "https"))
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise CouldNotRun(
            f"the webhook in `{settings.webhook_env}` would be called in the clear, at `{parts.hostname}`", hint="use its https address"
        )
    return parts


def post(alert: Alert, settings: Notify, environ: Mapping[str, str]) -> None:
    """Post an alert to the webhook. Raises CouldNotRun unless it answers 2xx in time."""
    parts = _webhook(settings, environ)
    body = json.dumps(payload(alert)).encode()
    headers = {"content-type": "application/json", "user-agent": "detent", "x-detent-alert": alert.id}
    if secret := environ.get(SECRET_ENV):
        headers["x-detent-signature"] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    status = asyncio.run(_post(parts.geturl(), body, headers, parts.hostname or ""))
    if not 200 <= status < 300:
        raise CouldNotRun(f"the webhook at `{parts.hostname}` answered HTTP {status}", hint=f"see what it says of `{settings.webhook_env}`")


async def _post(url: str, body: bytes, headers: Mapping[str, str], host: str) -> int:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        # The answer's body is nobody's business, and a redirect would carry the alert wherever it points.
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
    except TimeoutError:
        raise CouldNotRun(f"the webhook at `{host}` did not answer within {TIMEOUT_S:g} s", hint="is it up?") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise CouldNotRun(f"the webhook at `{host}` cannot be reached: {type(error).__name__}", hint="is it up?") from None


# ── mail ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mail_server(settings: Notify, environ: Mapping[str, str]) -> SplitResult:
    return _address(settings.smtp_env, "smtp_env", environ, ("smtp", "smtps"))


def mail(alert: Alert, settings: Notify, environ: Mapping[str, str]) -> None:
    """Mail an alert to its owner, by `smtp://user:password@host:587?starttls=1` or `smtps://...`. Raises CouldNotRun unless it is taken."""
    parts = _mail_server(settings, environ)
    host, owner = parts.hostname or "", alert.owner.strip()
    if not ADDRESS.fullmatch(owner):
        raise CouldNotRun(f"no e-mail address: the owner `{line(owner)}` of {alert.about}", hint="write one as `owner` in the pin file")
    starttls = parse_qs(parts.query).get("starttls", ["0"])[-1] not in ("0", "", "false")
    if parts.username and parts.scheme == "smtp" and not starttls and not is_loopback(host):
        raise CouldNotRun(f"the password for `{host}` would be sent in the clear", hint="write smtps://, or ?starttls=1 at the end")
    try:
        with _connected(parts, host, starttls) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message(alert, settings.sender, owner))
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
        raise CouldNotRun(f"the mail server `{host}` refused: {error.smtp_code} {line(said)}", hint="see its log") from None
    except smtplib.SMTPRecipientsRefused:
        raise CouldNotRun(f"the mail server `{host}` takes no mail for `{line(owner)}`", hint="see the route's `owner`") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise CouldNotRun(
            f"the mail server `{host}` cannot be reached: {line(str(error) or type(error).__name__)}", hint="is it up?"
        ) from None


def _connected(parts: SplitResult, host: str, starttls: bool) -> smtplib.SMTP:
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=ssl.create_default_context())
    server = smtplib.SMTP(host, parts.port or (587 if starttls else 25), timeout=TIMEOUT_S)
    if starttls:
        server.starttls(context=ssl.create_default_context())
    return server


def message(alert: Alert, sender: str, owner: str) -> EmailMessage:
    """An alert as mail. Its id is the alert's, so that one which came twice is shown once."""
    mailed = EmailMessage()
    mailed["From"], mailed["To"] = sender, owner
    mailed["Subject"] = line(f"[detent] {headline(alert)}", 160)
    mailed["Message-ID"] = f"<{alert.id}@detent>"
    mailed["Date"] = alert.at
    mailed.set_content("\n".join(told(alert)) + "\n")
    return mailed


CHANNELS: tuple[Channel, ...] = (
    Channel("webhook", lambda settings: settings.webhook_env, _webhook, post),
    Channel("mail", lambda settings: settings.smtp_env, _mail_server, mail),
)
"""Every way to tell people."""
