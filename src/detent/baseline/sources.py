"""Where recorded exchanges come from: the journal, read by several processes at once, or any other iterable, by way of a file of our own.

Both are read twice. The first pass keeps of each exchange only what near-duplicates and strata are told by, in arrays: about 300 bytes. The
second fetches the few that were drawn.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC
from typing import Protocol

import msgspec

from detent import sampling
from detent.errors import InvalidInput
from detent.sampling.tables import Table, Tabled
from detent.store.database import Database, parse_url
from detent.store.journal import Journal
from detent.store.recordings import Recordings
from detent.terms import RecordedExchange, utc

STRETCH = 20_000
"""Legs of the journal that one process reads at a time."""

MOST_LEGS = 2_000_000
"""How many of the newest legs a baseline is drawn from: what bounds its memory."""

SEVERAL_FROM = 60_000
"""Legs from which on several processes read: starting one costs what reading ten thousand does."""

_TOLD_EVERY = 1_000

Progress = Callable[[int, int | None], None]
"""Told (done, total) exchanges; total is None where nobody knows."""


class Source(Protocol):
    """A place to draw a baseline from."""

    def tables(self, progress: Progress) -> Iterator[Table]:
        """All usable exchanges, in tables; the same at each call."""

    def fetch(self, keys: Collection[str]) -> dict[str, RecordedExchange]:
        """The exchanges of these keys; one that cannot be had whole is left out."""


# ── the journal ─────────────────────────────────────────────────────────────────────────────────────────────────────


class FromJournal:
    """The recorded traffic of a route with one model."""

    def __init__(self, journal: Recordings, route: str, model: str, *, processes: int | None = None) -> None:
        """`processes` to read with; by default one for each processor if there is much to read."""
        self._journal, self._route, self._model, self._processes = journal, route, model, processes

    def tables(self, progress: Progress) -> Iterator[Table]:
        """A table for each stretch of the journal, newest first."""
        spans = self._journal.spans(self._route, every=STRETCH, at_most=MOST_LEGS)
        processes = self._processes or ((os.cpu_count() or 1) if len(spans) * STRETCH > SEVERAL_FROM else 1)
        if processes == 1:
            found: Iterator[Table] = (read_stretch(self._journal, self._route, self._model, *span) for span in spans)
            yield from self._told(found, len(spans), progress)
            return
        # Spawned, never forked: a forked process would share our connections to the database.
        with ProcessPoolExecutor(min(processes, len(spans)), multiprocessing.get_context("spawn"), _open, (self._journal.place,)) as pool:
            yield from self._told(pool.map(_read, [(self._route, self._model, *span) for span in spans]), len(spans), progress)

    def fetch(self, keys: Collection[str]) -> dict[str, RecordedExchange]:
        """The exchanges of these legs."""
        return self._journal.recorded_legs(keys)

    @staticmethod
    def _told(tables: Iterator[Table], stretches: int, progress: Progress) -> Iterator[Table]:
        for number, table in enumerate(tables, start=1):
            progress(number * STRETCH, stretches * STRETCH)
            yield table


def read_stretch(journal: Recordings, route: str, model: str, after_us: int, until_us: int) -> Table:
    """The features of one stretch of the journal; a request that cannot be read is left out."""
    found = Tabled()
    for asked in journal.asked(route, model=model, after_us=after_us, until_us=until_us):
        at = utc(asked.at_us)
        try:
            features = sampling.of_request(asked.endpoint, asked.request, template=asked.template, task="", called=asked.called, at=at)
        except InvalidInput:
            continue
        found.add(asked.leg, asked.at_us, features, ended=not asked.called)
    return found.table()


_opened: list[Recordings] = []  # the journal of a reading process, which opens it once


def _open(place: str) -> None:
    _opened.append(Journal(Database(parse_url(place), durable=False)))


def _read(stretch: tuple[str, str, int, int]) -> Table:
    return read_stretch(_opened[0], *stretch)


# ── anything else ───────────────────────────────────────────────────────────────────────────────────────────────────

_STORED = msgspec.msgpack.Decoder(RecordedExchange)


class FromExchanges:
    """Exchanges that can be read only once: kept in a nameless temporary file, redacted before they get there.

    `prepare` readies an exchange for keeping (redaction); `usable` says whether its answer may be a known-good output.
    """

    def __init__(
        self,
        exchanges: Iterable[RecordedExchange],
        *,
        prepare: Callable[[RecordedExchange], RecordedExchange],
        usable: Callable[[RecordedExchange], bool],
    ) -> None:
        self._exchanges, self._prepare, self._usable = exchanges, prepare, usable
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._places: list[tuple[int, int]] = []
        self.models: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def tables(self, progress: Progress) -> Iterator[Table]:
        """One table for every `STRETCH` exchanges. May be called once."""
        found, read = Tabled(), 0
        for read, exchange in enumerate(self._exchanges, start=1):
            self._take(exchange, found)
            if read % STRETCH == 0:
                yield found.table()
                found = Tabled()
            if read % _TOLD_EVERY == 0:
                progress(read, None)
        progress(read, read)
        yield found.table()

    def fetch(self, keys: Collection[str]) -> dict[str, RecordedExchange]:
        """The exchanges of these keys, as they were kept."""
        found = {}
        for key in keys:
            start, length = self._places[int(key)]
            self._file.seek(start)
            found[key] = _STORED.decode(self._file.read(length))
        return found

    def _take(self, exchange: RecordedExchange, found: Tabled) -> None:
        if not self._usable(exchange):
            return
        try:
            kept = self._prepare(_dated(exchange))
            features = sampling.of_exchange(kept)
        except InvalidInput:
            return
        body = msgspec.msgpack.encode(kept)
        self._places.append((self._file.seek(0, os.SEEK_END), len(body)))
        self._file.write(body)
        self.models[kept.model] = self.models.get(kept.model, 0) + 1
        at_us = 0 if kept.at is None else int(kept.at.timestamp() * 1_000_000)
        found.add(str(len(self._places) - 1), at_us, features, ended=not kept.answer.tool_calls)


def _dated(exchange: RecordedExchange) -> RecordedExchange:
    """The exchange without its time where that cannot be told in UTC: the first or the last day there is, in another time zone."""
    try:
        return exchange if exchange.at is None else replace(exchange, at=exchange.at.astimezone(UTC))
    except OverflowError:
        return replace(exchange, at=None)
