"""What the database itself takes down of what is written to it: every flag and every rollout that there ever was."""

from __future__ import annotations

from typing import Any

import psycopg

WITNESSES = """
CREATE TABLE witness_flags (n bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), revision bigint, body text);
CREATE TABLE witness_rollouts (n bigserial PRIMARY KEY, id text, before text, after text);
CREATE FUNCTION witness_flag() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO witness_flags (revision, body) VALUES (NEW.revision, NEW.body); RETURN NEW; END $$;
CREATE FUNCTION witness_rollout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO witness_rollouts (id, before, after)
  VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.body END, NEW.body); RETURN NEW; END $$;
CREATE TRIGGER witness_flag AFTER INSERT OR UPDATE ON flags FOR EACH ROW EXECUTE FUNCTION witness_flag();
CREATE TRIGGER witness_rollout AFTER INSERT OR UPDATE ON rollouts FOR EACH ROW EXECUTE FUNCTION witness_rollout();
"""


def take_down(url: str) -> None:
    """From now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(WITNESSES)


def rows(url: str, query: str) -> list[dict[str, Any]]:
    """What a query gives, asked past Detent's own store."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query.encode()).fetchall()
