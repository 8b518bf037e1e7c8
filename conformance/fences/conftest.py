"""One PostgreSQL server for all tests; each has a database of its own in it."""

import pytest

from fences import postgresql


@pytest.fixture(scope="session")
def postgresql_server():
    if why := postgresql.missing():
        pytest.skip(why)
    server = postgresql.PostgreSQL().start()
    yield server
    server.stop()
