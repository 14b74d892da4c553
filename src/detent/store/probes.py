"""What the probes of each way back found: the newest day of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, select

from detent.store.database import Database, upsert
from detent.store.schema import probes
from detent.terms import Probe, Version, micros

KEPT_FOR = timedelta(days=1)
"""How long a probe is kept."""

_PROBE = msgspec.json.Decoder(Probe)


class Probes:
    """Probes in, and the newest of them out."""

    _db: Database

    def add_probes(self, found: Sequence[Probe]) -> None:
        """Keep probes; those of the same route and version that are a day older go."""
        if not found:
            return
        rows = [
            {"route": p.route, "version": str(p.version), "at_us": micros(p.at), "body": msgspec.json.encode(p).decode()} for p in found
        ]
        with self._db.write() as c:
            upsert(c, probes, rows)
            for probe in found:
                old = (probes.c.route == probe.route, probes.c.version == str(probe.version), probes.c.at_us < micros(probe.at - KEPT_FOR))
                c.execute(delete(probes).where(*old))

    def probes(self, route: str, version: Version, *, since: datetime, limit: int = 60) -> list[Probe]:
        """The newest probes of a version for a route, newest first."""
        of = (probes.c.route == route, probes.c.version == str(version), probes.c.at_us >= micros(since))
        query = select(probes.c.body).where(*of).order_by(probes.c.at_us.desc()).limit(limit)
        with self._db.read() as c:
            return [_PROBE.decode(body) for body in c.scalars(query)]
