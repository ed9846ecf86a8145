"""Nothing that is kept or shown holds a secret that was given to a plan or a target."""

from __future__ import annotations

import random
import string

import pytest

from perflab import provenance

SPELLINGS = [
    "--password={}",
    "--password {}",
    "--x=postgresql://u:{}@h/db",
    "mysql+pymysql://root:{}@db/x",
    "redis://:{}@h",
    "u:{}@h:80",
    "host=db password={}",
    "jdbc:postgresql://h/db?password={}",
    "http://h/?a=1;token={}",
    "http://h/#access_token={}",
    "Authorization: Bearer {}",
    "Cookie: a={}; b={}",
    "--header=X-Api-Key:{}",
    '{{"password": "{}"}}',
    "PGPASSWORD={} psql",
    "api_secret='{}'",
]


def planted(count: int) -> list[str]:
    source = random.Random(15)
    return ["".join(source.choices(string.ascii_letters + string.digits + "-_.!~", k=12)) for _ in range(count)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_lets_a_secret_through(spelling: str) -> None:
    for secret in planted(200):
        text = spelling.format(secret, secret)
        for around in (text, f"see {text}", f"{text} ok"):
            assert secret not in provenance.without_credentials(around)
        assert secret not in " ".join(provenance.without_secrets(["app", text, "--users=5"]))


@pytest.mark.parametrize(
    "arguments",
    [["--password", "{}"], ["-p", "{}"], ["-p{}"], ["-u", "me:{}"], ["--db-token", "{}"], ["-H", "X-Auth: {}"]],
)
def test_an_option_hides_its_value(arguments: list[str]) -> None:
    for secret in ("Hunter-2!", "x1y2z3w4"):
        kept = provenance.without_secrets(["app", *(a.format(secret) for a in arguments), "--port", "80"])
        assert secret not in " ".join(kept)
        assert kept[-2:] == ["--port", "80"]


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "DB_PWD",
        "MYSQL_PASS",
        "JWT",
        "BEARER",
        "PIN",
        "PRIVATE",
        "SALT",
        "STRIPE_SK",
        "SENTRY",
        "DSN",
        "X-Api",
    ],
)
def test_a_name_says_that_its_value_is_a_secret(name: str) -> None:
    assert provenance.harmless({name: "hunter2"}) == {name: "…"}


def test_values_of_the_environment_are_kept_only_if_asked() -> None:
    assert provenance.names_of({"A": "1", "B": "2"}, keep=("A",)) == {"A": "1", "B": "…"}


@pytest.mark.parametrize(
    "text",
    [
        *("GET /orders/12345", "2026-11-24T01:45:00Z", "runs/20261124-014503-eager-7f3a", "error: connection refused"),
        *("python app.py --port=8001 --users=50", "http://127.0.0.1:8000/a", "http://[abc", "Author: x", "spin=3"),
        *("a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0", "experiment=20260101-abc", "C:/a b/c.py:12"),
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert provenance.without_credentials(text) == text
