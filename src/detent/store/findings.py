"""The part of the state that baseline runner and grader write: baselines, runs, scored pairs. Appended, each once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, insert, select

from detent.store.database import Database, insert_missing
from detent.store.schema import baselines, pairs, runs
from detent.terms import Baseline, Pair, Run

# Built at import, as in state.py: threads that work a dataclass out at once crash the process.
_BASELINE, _RUN, _PAIR = msgspec.json.Decoder(Baseline), msgspec.json.Decoder(Run), msgspec.json.Decoder(Pair)


class Findings:
    """Baselines, runs and pairs. Adding what is there already changes nothing, so that a runner may begin again after a crash."""

    _db: Database

    def put_baseline(self, baseline: Baseline) -> None:
        """Freeze a baseline; the newest of a route is the one in force."""
        body = msgspec.json.encode(baseline).decode()
        with self._db.write() as c:
            c.execute(insert(baselines).values(route=baseline.route, digest=baseline.digest, body=body))

    def baseline(self, route: str) -> Baseline | None:
        """The baseline in force on a route."""
        query = select(baselines.c.body).where(baselines.c.route == route).order_by(baselines.c.id.desc()).limit(1)
        with self._db.read() as c:
            body = c.scalar(query)
        return None if body is None else _BASELINE.decode(body)

    def findings_mark(self, rollout: str, route: str) -> tuple[int, int, int]:
        """Changes whenever the baseline in force, the runs or the pairs of a rollout do: cheaper to ask for than what it stands for."""
        newest = select(func.max(baselines.c.id)).where(baselines.c.route == route)
        made = select(func.count()).select_from(runs).where(runs.c.rollout == rollout)
        scored = select(func.count()).select_from(pairs).where(pairs.c.rollout == rollout)
        with self._db.read() as c:
            return (c.scalar(newest) or 0, c.scalar(made) or 0, c.scalar(scored) or 0)

    def add_runs(self, new: Sequence[Run]) -> None:
        """Keep baseline runs; one that is there already (rollout, case, arm, stage, repeat) stays as it is."""
        rows = [
            {
                "rollout": run.rollout,
                "case": run.case,
                "arm": run.arm.value,
                "stage": run.stage,
                "repeat": run.repeat,
                "body": msgspec.json.encode(run).decode(),
            }
            for run in new
        ]
        with self._db.write() as c:
            insert_missing(c, runs, rows)

    def runs(self, rollout: str) -> list[Run]:
        """All baseline runs of a rollout, by case, arm, stage and repeat."""
        query = select(runs.c.body).where(runs.c.rollout == rollout).order_by(runs.c.case, runs.c.arm, runs.c.stage, runs.c.repeat)
        with self._db.read() as c:
            return [_RUN.decode(body) for body in c.scalars(query)]

    def add_pairs(self, new: Sequence[Pair]) -> None:
        """Keep scored pairs; one whose (rollout, exchange) is there already stays as it is."""
        rows = [{"rollout": p.rollout, "exchange": p.exchange, "body": msgspec.json.encode(p).decode()} for p in new]
        with self._db.write() as c:
            insert_missing(c, pairs, rows)

    def pairs(self, rollout: str) -> list[Pair]:
        """All scored pairs of a rollout, by exchange."""
        query = select(pairs.c.body).where(pairs.c.rollout == rollout).order_by(pairs.c.exchange)
        with self._db.read() as c:
            return [_PAIR.decode(body) for body in c.scalars(query)]
