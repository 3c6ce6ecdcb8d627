"""The proxy that cuts connections forwards everything else, whatever the bytes are and wherever they are parted."""

from pathlib import Path

import psycopg
import pytest

from tests.cutting_proxy import CuttingProxy
from tests.real_servers import new_folder


@pytest.mark.parametrize("letter", ["B", "C", "D", "E", "P"])
def test_rows_of_a_copy_pass_although_they_look_like_requests(letter: str, database: str) -> None:
    rows = [letter * length for length in range(0, 12_000, 7)]
    with new_folder() as folder:
        proxy = CuttingProxy(database, Path(folder))
        try:
            with psycopg.connect(proxy.url, connect_timeout=3) as connection:
                connection.execute("CREATE TABLE copied (row text)")
                with connection.cursor().copy("COPY copied FROM STDIN") as copy:
                    copy.write("".join(f"{row}\n" for row in rows))
                found = connection.execute("SELECT row FROM copied").fetchall()
        finally:
            proxy.close()
    assert sorted(row for (row,) in found) == rows
