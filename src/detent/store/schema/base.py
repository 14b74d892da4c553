"""What every table is made of: one registry, and columns as they are spelt on SQLite and PostgreSQL alike.

Values are stored as key columns plus, where a value is read whole, a JSON `body` of the dataclass in `detent.terms`. Times are integer
microseconds UTC. Only flags, rollouts and running values are ever updated; all else is appended.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, PrimaryKeyConstraint, String, Table, Text

SCHEMA_VERSION = 7
"""Raised by every change of a table, which is a file of `store/migrations`; a store of a newer version is refused."""

metadata = MetaData()

# SQLite counts rows by itself only in a column that is exactly INTEGER PRIMARY KEY.
counting = BigInteger().with_variant(Integer, "sqlite")


def keyed(name: str, *columns: Column[Any] | Index | PrimaryKeyConstraint) -> Table:
    """A table that is only ever looked up by its primary key: on SQLite its rows are stored in the key's own tree."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def text(name: str, **how: Any) -> Column[str]:
    """A text that is always there."""
    return Column(name, Text, nullable=False, **how)


def whole(name: str, **how: Any) -> Column[int]:
    """A whole number that is always there."""
    return Column(name, BigInteger, nullable=False, **how)


meta = keyed("meta", Column("name", String(40), primary_key=True), text("value"))
"""Schema version and the installation's identity key."""

counters = keyed("counters", Column("name", String(40), primary_key=True), whole("n"))
"""The store-wide flag revision; on PostgreSQL also the row that makes ingesters take turns; feedback about nobody (`unmatched`)."""
