"""`rollback --local`: orders by file, between a person on a gateway's host and its gateways, with nothing else alive.

    .detent/orders/ROUTE.json                    the order: who, why, when, about which rollout; written aside, synced, renamed
    .detent/orders/ROUTE.ORDER.WRITER.ack        an empty file: the gateway that writes this spool obeys it, since the file's mtime

Whatever stands under a route's name puts that route on stable, also a file that cannot be read (torn, somebody else's, for all to write):
the approved version is what an order can ask for at most, so doubt goes that way. But only a whole order, written by this user or root and
by nobody else, is carried out in the store: the other kind has no name to answer for it. An order that finds the disk full is an empty
file, which needs no room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from detent.store.spool import spool_dirs, writer_alive
from detent.terms import LocalOrder

SHADOW_NAME = "-shadow"
"""What the name of a spool ends in whose writer sends copies: it serves nobody, and obeys no order."""

UNREAD = "unread"
"""What stands for the id of an order that cannot be read."""

_DECODER = msgspec.json.Decoder(LocalOrder)  # built at import, as in store/state.py
_ORDER_ID = re.compile(r"lo_[0-9a-z]{1,64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Standing:
    """An order that stands: what it says, or why it cannot be read. `file` tells one file from the next in its place; `empty` is what is
    left of an order where the disk was full.
    """

    route: str
    path: Path
    order: LocalOrder | None
    wrong: str = ""
    file: tuple[int, ...] = ()
    empty: bool = False

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.id if self.order is not None else UNREAD

    @property
    def sentence(self) -> str:
        """Who put which route on stable, or that nobody can say who; with what to do where somebody has to."""
        order = self.order
        if order is None:
            what = f"the order for {self.route} cannot be read ({self.wrong}): on stable for as long as it stands"
            return f"{what}; give it again with `detent rollback --local {self.route}`, or remove `{self.path}`"
        why = f": {order.why}" if order.why else ""
        return f"{self.route} is on stable by order of {order.by}, given here {order.at:%Y-%m-%d %H:%M:%S} UTC{why}"


class Orders:
    """The orders of a home directory, as one gateway process reads them; `writer` is the name of its spool."""

    def __init__(self, home: Path, writer: str) -> None:
        self._place = _place(home)
        self._writer = writer
        self._read: dict[str, Standing] = {}

    def standing(self) -> dict[str, Standing]:
        """By route, what stands now; looked up in some 20 µs where nothing changed. Raises OSError where the directory cannot be read."""
        try:
            with os.scandir(self._place) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]
        except FileNotFoundError:
            names = []
        read: dict[str, Standing] = {}
        for name in names:
            path = self._place / name
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            file = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode, found.st_uid)
            known = self._read.get(name)
            read[name] = known if known is not None and known.file == file else replace(_standing(path), file=file)
        self._read = read
        return {one.route: one for one in read.values()}

    def obey(self, standing: Standing) -> None:
        """Say that this gateway obeys it. Raises OSError when it cannot be said."""
        path = self._place / f"{standing.route}.{standing.id}.{self._writer}.ack"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


# ── who gives orders ────────────────────────────────────────────────────────────────────────────────────────────────


def give(home: Path, order: LocalOrder) -> bool:
    """Put an order in place of the one that stands for its route, if one does. False: the disk is full, and it says nothing but its route.

    Raises OSError when not even that is possible.
    """
    place = _made(home)
    path = place / f"{order.route}.json"
    for old in _acks(place, order.route):
        old.unlink(missing_ok=True)
    aside = place / f".{order.route}.{secrets.token_hex(6)}"
    whole = True
    try:
        try:
            _write(aside, msgspec.json.encode(order), home)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            whole = False
            aside.unlink(missing_ok=True)
            _write(aside, b"", home)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    _sync(place)
    return whole


def withdraw(home: Path, order: LocalOrder) -> None:
    """Take an order away that was carried out, unless another one stands in its place by now."""
    place = _place(home)
    path = place / f"{order.route}.json"
    if _standing(path).id == order.id:
        path.unlink(missing_ok=True)
    for ack in _acks(place, f"{order.route}.{order.id}"):
        ack.unlink(missing_ok=True)


def withdraw_empty(home: Path, route: str) -> None:
    """Take away what a full disk left of an order, unless another one stands in its place by now."""
    path = _place(home) / f"{route}.json"
    if _standing(path).empty:
        path.unlink(missing_ok=True)
        for ack in _acks(_place(home), f"{route}.{UNREAD}"):
            ack.unlink(missing_ok=True)


def standing_orders(home: Path) -> tuple[Standing, ...]:
    """The orders that stand on this host, readable or not, by route. Raises OSError where the directory cannot be read."""
    return tuple(order for _, order in sorted(Orders(home, "").standing().items()))


def stands(home: Path, order: LocalOrder) -> bool:
    """Whether this order stands still: nobody has carried it out or given another in its place."""
    return _standing(_place(home) / f"{order.route}.json").id == order.id


def live_gateways(home: Path) -> dict[str, str]:
    """The gateways of this home that live, by the name of their spools: its lock tells, and no network."""
    alive = {name: name.rpartition("-")[0] for name, path in spool_dirs(home / "spool").items() if writer_alive(path)}
    return {spool: gateway for spool, gateway in alive.items() if not gateway.endswith(SHADOW_NAME)}


def obeyed_since(home: Path, route: str, order_id: str) -> dict[str, float]:
    """When each gateway, by the name of its spool, said that it obeys: seconds since the epoch."""
    found = {}
    prefix = f"{route}.{order_id}."
    for path in _acks(_place(home), prefix[:-1]):
        with contextlib.suppress(FileNotFoundError):
            found[path.name.removeprefix(prefix).removesuffix(".ack")] = path.stat().st_mtime
    return found


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _place(home: Path) -> Path:
    return home / "orders"


def _made(home: Path) -> Path:
    place = _place(home)
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        return place
    _hand_over(place, home)
    return place


def _write(path: Path, text: bytes, home: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _hand_over(path, home)


def _hand_over(path: Path, home: Path) -> None:
    """What root puts there belongs to whoever the home belongs to: the gateways have to be able to read it."""
    if os.geteuid() == 0:
        owner = home.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(place: Path) -> None:
    """The rename, too, is to outlive a power cut."""
    with contextlib.suppress(OSError):  # a file system that cannot sync a directory; the order stands all the same
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _acks(place: Path, prefix: str) -> list[Path]:
    try:
        return [place / name for name in os.listdir(place) if name.startswith(f"{prefix}.") and name.endswith(".ack")]
    except FileNotFoundError:
        return []


def _standing(path: Path) -> Standing:
    route = path.name.removesuffix(".json")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            wrong = _not_ours(os.fstat(descriptor))
            text = b"" if wrong else os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        return Standing(route, path, None, error.strerror or str(error))
    if wrong:
        return Standing(route, path, None, wrong)
    try:
        order = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        wrong = "it is empty: the disk was full" if not text else "it is no order, or a part of one"
        return Standing(route, path, None, wrong, empty=not text)
    if order.route != route or not _ORDER_ID.fullmatch(order.id) or order.at.tzinfo is None:
        return Standing(route, path, None, "it is no order for this route")
    return Standing(route, path, order)


def _not_ours(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_uid not in {os.geteuid(), 0}:
        return "it belongs to another user"
    return "others may write to it" if found.st_mode & 0o022 else ""
