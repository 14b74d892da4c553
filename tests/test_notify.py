"""Word of alerts on real sockets: what a webhook and a mail server get, and what becomes of it when they fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from detent import manifest, notify
from detent.alerting import alert
from detent.errors import CouldNotRun, InvalidInput
from detent.notify import CHANNELS, Channel, Notifier, mail, post
from detent.serve.loops import Repeating
from detent.store import Store, open_store
from detent.terms import Alert, Notify
from receivers import mail_server, webhook
from records import T0

WEBHOOK, MAIL = CHANNELS
S = timedelta(seconds=1)
BOTH = Notify(webhook_env="HOOK", smtp_env="SMTP", sender="detent@example.com")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


def raised(store: Store, *, owner: str = "ann@example.com", about: str = "ro_1") -> Alert:
    made = alert("RolledBack", about, owner, "chat: a -> b ended as rolled_back: GuardHarmed: 41 of 52", T0, key=about)
    assert store.state.raise_alert(made)
    return made


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


def notifier(store: Store, channel: Channel, clock: Clock | None = None, **environ: str) -> Notifier:
    return Notifier(store, lambda: BOTH, channel, environ=environ, clock=clock or Clock())


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_is_posted_what_people_read_and_what_machines_do(store: Store) -> None:
    made = raised(store)
    with webhook() as there:
        assert notifier(store, WEBHOOK, HOOK=there.url, DETENT_WEBHOOK_SECRET="sesame").step() == 1
        assert notifier(store, WEBHOOK, HOOK=there.url).step() == 0, "once"
    ((headers, body),) = there.posted
    said = json.loads(body)
    assert said["text"].splitlines()[0].startswith("PAGE RolledBack: chat: a -&gt; b ended")
    assert (said["id"], said["kind"], said["about"], said["owner"], said["pages"]) == (
        made.id,
        "RolledBack",
        "ro_1",
        "ann@example.com",
        True,
    )
    assert headers["x-detent-signature"] == "sha256=" + hmac.new(b"sesame", body, hashlib.sha256).hexdigest()
    assert headers["content-type"] == "application/json"


def test_mail_goes_to_the_owner_with_an_id_that_shows_a_second_copy_once(store: Store) -> None:
    made = raised(store)
    with mail_server() as there:
        assert notifier(store, MAIL, SMTP=f"smtp://127.0.0.1:{there.port}").step() == 1
    (mailed,) = there.mails
    assert there.recipients == ["ann@example.com"]
    assert mailed["subject"].replace("\n", "").startswith("[detent] PAGE RolledBack: chat: a -> b ended as rolled_back")
    assert (mailed["from"], mailed["message-id"]) == ("detent@example.com", f"<{made.id}@detent>")
    assert f"detent ack {made.id}" in str(mailed.get_payload())


def test_what_strangers_wrote_becomes_no_header_of_the_mail(store: Store) -> None:
    store.state.raise_alert(alert("RolledBack", "ro_1", "ann@example.com", "x\r\nBcc: eve@example.com\r\n\r\nhello", T0))
    with mail_server() as there:
        notifier(store, MAIL, SMTP=f"smtp://127.0.0.1:{there.port}").step()
    (mailed,) = there.mails
    assert mailed["bcc"] is None
    assert there.recipients == ["ann@example.com"]


# ── what fails ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_receiver_that_fails_is_asked_again_later_and_nothing_is_lost(store: Store) -> None:
    raised(store)
    clock = Clock()
    with webhook() as there:
        there.status = 500
        telling = notifier(store, WEBHOOK, clock, HOOK=there.url)
        with pytest.raises(CouldNotRun, match=r"the webhook at `127\.0\.0\.1` answered HTTP 500"):
            telling.step()
        with pytest.raises(CouldNotRun, match=r"answered HTTP 500"):
            telling.step()
        assert len(there.posted) == 1, "it is not its turn again yet, and no news"
        there.status = 204
        clock.now += 6 * S
        assert telling.step() == 1
    (stands,) = store.state.deliveries([one.id for one in store.state.alerts()])
    assert (stands.tries, stands.error, stands.sent_at) == (2, "", T0 + 6 * S)


def test_a_receiver_that_is_down_is_named_without_its_secret(store: Store) -> None:
    raised(store)
    with pytest.raises(CouldNotRun) as caught:
        notifier(store, WEBHOOK, HOOK="http://127.0.0.1:9/services/T000/SECRET").step()
    assert "cannot be reached" in caught.value.message
    (stands,) = store.state.deliveries([one.id for one in store.state.alerts()])
    assert "SECRET" not in f"{caught.value} {stands.error}"


def test_a_receiver_that_never_answers_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "TIMEOUT_S", 0.2)
    raised(store)
    go = threading.Event()
    with webhook() as there:
        there.before = lambda: (go.wait(10), None)[1]
        try:
            with pytest.raises(CouldNotRun, match=r"did not answer within 0\.2 s"):
                notifier(store, WEBHOOK, HOOK=there.url).step()
        finally:
            go.set()


def test_a_mail_server_that_refuses_one_owner_is_quoted(store: Store) -> None:
    raised(store)
    with mail_server() as there:
        there.refuses.add("ann@example.com")
        with pytest.raises(CouldNotRun, match=r"takes no mail for `ann@example\.com`"):
            notifier(store, MAIL, SMTP=f"smtp://127.0.0.1:{there.port}").step()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "nothing to send to in `HOOK`"),
        ({"HOOK": "ftp://example.com/x"}, "no address of http:// or https:// in `HOOK`"),
        ({"HOOK": "http://hooks.example.com/x"}, "in the clear"),
        ({"HOOK": "http://[::1"}, "no address"),
    ],
)
def test_an_address_that_is_none_is_said(environ: dict[str, str], says: str) -> None:
    with pytest.raises(CouldNotRun, match=says):
        post(alert("Test", "notify", "ann@example.com", "x", T0), BOTH, environ)


@pytest.mark.parametrize(
    ("owner", "url", "says"),
    [
        ("the search team", "smtp://127.0.0.1:9", "no e-mail address: the owner `the search team`"),
        ("ann@example.com", "smtp://me:secret@mail.example.com:25", "the password for `mail.example.com` would be sent in the clear"),
        ("ann@example.com", "smtp://127.0.0.1:9", "the mail server `127.0.0.1` cannot be reached"),
    ],
)
def test_mail_that_cannot_be_sent_says_why(owner: str, url: str, says: str) -> None:
    with pytest.raises(CouldNotRun, match=says) as caught:
        mail(alert("Test", "notify", owner, "x", T0), BOTH, {"SMTP": url})
    assert "secret" not in str(caught.value)


def test_one_channel_that_fails_keeps_the_other_from_nothing(store: Store) -> None:
    raised(store)
    with mail_server() as there:
        with pytest.raises(CouldNotRun):
            notifier(store, WEBHOOK, HOOK="http://127.0.0.1:9/").step()
        assert notifier(store, MAIL, SMTP=f"smtp://127.0.0.1:{there.port}").step() == 1


def test_a_variable_that_is_not_set_is_said_before_there_is_anything_to_tell(store: Store) -> None:
    with pytest.raises(CouldNotRun, match=r"nothing to send to in `HOOK`, which \[notify\] names as webhook_env"):
        notifier(store, WEBHOOK).step()
    raised(store)
    with pytest.raises(CouldNotRun, match="nothing to send to in `HOOK`"):
        notifier(store, WEBHOOK).step()
    (stands,) = store.state.deliveries([one.id for one in store.state.alerts()])
    assert "nothing to send to" in stands.error, "`detent alerts` says why it did not arrive"


def test_without_a_channel_nothing_is_taken_and_nothing_is_said(store: Store) -> None:
    raised(store)
    assert Notifier(store, Notify, WEBHOOK, environ={}, clock=Clock()).step() == 0
    assert store.state.deliveries([one.id for one in store.state.alerts()]) == []


# ── two servers, and one that is killed ──────────────────────────────────────────────────────────────────────────────


def test_two_servers_send_fifty_alerts_once_each(store: Store, tmp_path: Path) -> None:
    for n in range(50):
        raised(store, about=f"ro_{n}")
    other = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with webhook() as there:
        tells = [notifier(one, WEBHOOK, HOOK=there.url) for one in (store, other)]

        def all_of(one: Notifier) -> None:
            for _ in range(60):  # one that lost a race looks again
                one.step()

        threads = [threading.Thread(target=all_of, args=(one,)) for one in tells]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    other.close()
    ids = [json.loads(body)["id"] for _, body in there.posted]
    assert len(ids) == len(set(ids)) == 50


KILLED = """
import sys
from datetime import datetime
from detent.notify import CHANNELS, Notifier
from detent.store import open_store
from detent.terms import Notify
url, hook, at = sys.argv[1:]
settings = Notify(webhook_env="HOOK")
Notifier(open_store(url), lambda: settings, CHANNELS[0], environ={"HOOK": hook}, clock=lambda: datetime.fromisoformat(at)).step()
"""


def test_a_server_that_is_killed_between_sending_and_marking_is_followed_by_another(store: Store, tmp_path: Path) -> None:
    """At least once: the receiver has it twice, and never not at all."""
    made = raised(store)
    with webhook() as there:
        pid: list[int] = []
        began = threading.Event()

        def kill() -> None:
            began.wait(10)
            os.kill(pid[0], signal.SIGKILL)

        there.before = kill
        arguments = [sys.executable, "-c", KILLED, f"sqlite:///{tmp_path / 'state.db'}", there.url, T0.isoformat()]
        with subprocess.Popen(arguments) as killed:
            pid.append(killed.pid)
            began.set()
            assert killed.wait(30) == -signal.SIGKILL
        there.before = lambda: None
        clock = Clock()
        clock.now = T0 + 60 * S
        telling = notifier(store, WEBHOOK, clock, HOOK=there.url)
        assert telling.step() == 0, "for all anybody knows the first is still at it"
        clock.now = T0 + 121 * S
        assert telling.step() == 1
    assert [json.loads(body)["id"] for _, body in there.posted] == [made.id, made.id]


# ── over TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that vouches for itself, and a server that shows it."""
    from stores import cannot_have

    openssl = shutil.which("openssl")
    if openssl is None:
        cannot_have("no `openssl` to make a certificate with")
    place = tmp_path_factory.mktemp("tls")
    key, made = place / "key.pem", place / "certificate.pem"
    subject = ("-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    words = (openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(made), *subject)
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context


@pytest.mark.parametrize("way", ["starttls", "smtps"])
def test_mail_goes_over_tls_with_the_password_inside(
    way: str, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with mail_server(**{"starttls" if way == "starttls" else "tls": context}) as there:
        scheme, end = ("smtp", "?starttls=1") if way == "starttls" else ("smtps", "")
        environ = {"SMTP": f"{scheme}://robot:p%40ss@127.0.0.1:{there.port}{end}"}
        mail(alert("Test", "chat", "ann@example.com", "hello", T0), BOTH, environ)
    assert there.logins == [("robot", "p@ss", True)]
    assert (there.recipients, there.encrypted) == (["ann@example.com"], [True])
    assert there.mails[0]["Subject"] == "[detent] Test: hello"


@pytest.mark.parametrize("way", ["starttls", "smtps"])
def test_a_mail_server_whose_certificate_nobody_vouches_for_gets_neither_mail_nor_password(
    way: str, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    with mail_server(**{"starttls" if way == "starttls" else "tls": certificate[1]}) as there:
        scheme, end = ("smtp", "?starttls=1") if way == "starttls" else ("smtps", "")
        environ = {"SMTP": f"{scheme}://robot:p%40ss@127.0.0.1:{there.port}{end}"}
        with pytest.raises(CouldNotRun, match="CERTIFICATE_VERIFY_FAILED") as caught:
            mail(alert("Test", "chat", "ann@example.com", "hello", T0), BOTH, environ)
    assert (there.logins, there.mails) == ([], [])
    assert "p%40ss" not in str(caught.value)


def test_a_server_that_offers_no_tls_gets_no_password() -> None:
    with mail_server() as there:
        environ = {"SMTP": f"smtp://robot:p%40ss@127.0.0.1:{there.port}?starttls=1"}
        with pytest.raises(CouldNotRun, match="STARTTLS"):
            mail(alert("Test", "chat", "ann@example.com", "hello", T0), BOTH, environ)
    assert (there.logins, there.mails) == ([], [])


# ── said once ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_keeps_a_channel_from_sending_is_said_once_and_again_when_it_is_back(store: Store) -> None:
    """The loop that asks each second hears the same between two tries; a try of each of two alerts is no news either."""
    raised(store)
    raised(store, about="ro_2")
    clock, said = Clock(), list[str]()
    with webhook() as there:
        telling = notifier(store, WEBHOOK, clock, HOOK=there.url)
        loop = Repeating("notify webhook", telling.step, 1.0, ending=threading.Event(), failing={}, say=said.append)
        there.status = 500
        for _ in range(60):
            loop.once()
            clock.now += S
        assert len(there.posted) > 4, "it was tried again and again"
        assert said == ["detent notify webhook: the webhook at `127.0.0.1` answered HTTP 500; trying again"]
        there.status = 204
        clock.now += 900 * S
        loop.once()
        there.status = 503
        raised(store, about="ro_3")
        loop.once()
    assert len(said) == 2
    assert "HTTP 503" in said[1]


def test_a_failure_that_nobody_meets_any_more_is_forgotten(store: Store) -> None:
    made = raised(store)
    clock = Clock()
    telling = notifier(store, WEBHOOK, clock, HOOK="http://127.0.0.1:9/x")
    with pytest.raises(CouldNotRun, match="cannot be reached"):
        telling.step()
    (stands,) = store.state.deliveries([made.id])
    store.state.sent(stands, clock.now)  # by another server
    clock.now += 600 * S
    with pytest.raises(CouldNotRun, match="cannot be reached"):
        telling.step()
    clock.now += 1201 * S
    assert telling.step() == 0


# ── [notify] in the pin file ─────────────────────────────────────────────────────────────────────────────────────────

FILE = """\
[providers.openai]
dialect = "openai"
base_url = "https://api.openai.com/v1"
watcher = "llm@example.com"

[routes.chat]
provider = "openai"
version = "gpt-4o-2024-05-13"
owner = "ann@example.com"

[notify]
webhook_env = "HOOK"
smtp_env = "SMTP"
sender = "detent@example.com"
"""


def test_a_pin_file_says_how_owners_are_told() -> None:
    assert manifest.read(FILE).notify == BOTH


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"HOOK"',
            '"https://hooks.slack.com/services/T0/B0/xyz"',
            "12: notify.webhook_env is not the name of an environment variable: `(not shown)`",
        ),
        ('"SMTP"', '"smtp://me:pw@host"', "13: notify.smtp_env is not the name of an environment variable: `(not shown)`"),
        ('"detent@example.com"', '"detent"', "14: notify.sender is no e-mail address: `detent`"),
        ('"ann@example.com"', '"the search team"', "9: routes.chat.owner is no e-mail address, and [notify] sends mail: `the search team`"),
        ("sender =", "from =", "14: unknown key in [notify]: `from`"),
    ],
)
def test_what_is_wrong_with_it_is_said_with_its_line(old: str, new: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        manifest.read(FILE.replace(old, new))
    assert says in str(caught.value)
    assert "xyz" not in str(caught.value)


def test_an_owner_needs_no_address_where_no_mail_is_sent() -> None:
    text = FILE.replace('smtp_env = "SMTP"\n', "").replace('"ann@example.com"', '"the search team"')
    assert manifest.read(text).routes["chat"].owner == "the search team"
