"""How fast a source may be asked, by all tasks on all machines together: its next free moment stands in the database."""

import time

from citydata import database


def wait(connection_name: str, per_second: float) -> None:
    """Take the source's next free moment and wait for it; the one after that is `1 / per_second` seconds later."""
    with database.connect("loader", autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO ops.source_pace AS pace (connection, next_at) VALUES (%(name)s, clock_timestamp() + %(gap)s * interval '1 s')"
            " ON CONFLICT (connection) DO UPDATE SET next_at = greatest(pace.next_at, clock_timestamp()) + %(gap)s * interval '1 s'"
            " RETURNING extract(epoch FROM next_at - clock_timestamp())::float8 - %(gap)s",
            {"name": connection_name, "gap": 1 / per_second},
        ).fetchone()
    if row and row[0] > 0:
        time.sleep(row[0])


def postpone(connection_name: str, seconds: float) -> None:
    """The source asked for a pause (Retry-After, RFC 9110 10.2.3): nobody asks it before that is over."""
    with database.connect("loader", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ops.source_pace AS pace (connection, next_at) VALUES (%(name)s, clock_timestamp() + %(pause)s * interval '1 s')"
            " ON CONFLICT (connection) DO UPDATE SET next_at = greatest(pace.next_at, excluded.next_at)",
            {"name": connection_name, "pause": seconds},
        )
