"""6: many hosts: who leads, whose spools are read, which breakers gateways report."""

from __future__ import annotations

from detent.store.migrations.steps import new_columns, new_table

STEPS = (
    new_table("leases", "name text", "holder text", "counter whole", "beat whole"),
    new_table("hosts", "host text", "name text", "lag_us whole", "beat whole"),
    new_columns("exposed", "host text?"),
    new_columns("gateways", "breakers text?"),
)
