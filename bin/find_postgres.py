"""Print the URL of a PostgreSQL server on this machine that lets us create databases; else exit status 1.

Tries the usual socket directories and the loopback address, as the current user and as `postgres`; PGPASSWORD
and a password file are honoured. The one argument is the database name to put into the URL.
"""

import getpass
import sys
from urllib.parse import quote

import psycopg

PLACES = ("/var/run/postgresql", "/tmp", "127.0.0.1")  # noqa: S108 (where PostgreSQL on macOS keeps its socket)


def usable(host: str, user: str) -> bool:
    """Whether this user may create databases on the server at `host`."""
    try:
        with psycopg.connect(host=host, user=user, dbname="postgres", connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])


def main() -> int:
    """Look in all places; print the first URL that works."""
    for host in PLACES:
        for user in dict.fromkeys((getpass.getuser(), "postgres")):
            if usable(host, user):
                print(f"postgres://{quote(user)}@{quote(host, safe='')}/{sys.argv[1]}")
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
