"""Nothing that is kept or shown holds a secret that was given to a plan or a target."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

import perflab as lab
from perflab import provenance
from perflab.loadtest import capture, logfiles

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
    "AccountName=x;AccountKey={}==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey={}=",
    "Server=db;Uid=me;Pwd='{} x';Encrypt=true",
    "aws_secret_access_key = {}",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n{}\n-----END RSA PRIVATE KEY-----",
    "machine example.com login me password {}",
    '{{"password": ["{}"]}}',
    '{{"auth": {{"user": "me", "pass": "{}"}}}}',
    '"{{\\"password\\":\\"{}\\"}}"',
    '{{"password": "a\\"{}"}}',
    ':password => "{}"',
    "<db-password>{}</db-password>",
    '<add key="Password" value="{}"/>',
    "token 'a1{}' is invalid",
    "Incorrect API key provided: a1{}",
    "('X-Api-Key', '{}')",
    "(b'authorization', b'Bearer {}')",
    "Bearer token {}",
    "postgresql://me:pa/ss{}@h/db",
    "postgresql://me:p@ss{}@h/db",
    "jdbc:oracle:thin:scott/{}@//h:1521/x",
    "curl -u me:{} http://h/",
    "mysql -u root -p{} db",
    "docker login -u me -p a{} h",
    "%7B%22password%22%3A%22{}%22%7D",
    'Authorization: Digest username="me", nonce="{}", response="{}"',
    "/reset/password/a1{}",
    "https://hooks.slack.com/services/T0/B0/a{}",
    *(
        f"{prefix}{{}}"
        for prefix in ("sk-proj-", "sk-ant-api03-", "glpat-aaaa", "npm_aaaa", "github_pat_aaaa", "hf_aaaa", "pypi-aaaa")
    ),
    *(
        f"{prefix}{{}}"
        for prefix in ("whsec_", "xapp-1-", "ATATT3x", "lin_api_", "sntrys_", "hvs.", "dckr_pat_", "nfp_")
    ),
    # One name, one value.
    *(
        f"{name}\n  {value}"
        for name in ("- name: DB_PASSWORD", '- name: "DB_PASSWORD"')
        for value in ("value: {}", 'value: "{}"')
    ),
    '{{"name": "DB_PASSWORD", "value": "{}"}}',
    '{{\n  "name": "Authorization",\n  "value": "{}"\n}}',
    "{{'key': 'api_key', 'value': '{}'}}",
    '{{"value":"{}","name":"DB_PASSWORD"}}',
    '<param value="{}" name="password"/>',
    '<input type="password" value="{}">',
    '<Password xsi:type="string">{}</Password>',
    # On the lines below.
    "password:\n  {}",
    "password: |\n    {}\n    {}\nport: 1",
    "  db-password: >-\n    {}\n  port: 1",
    "- name: TLS_KEY\n  value: |\n    -----BEGIN PKCS8 PRIVATE KEY-----\n    {}\n    {}\n    -----END PKCS8 PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{}",
    # Encoded.
    "postgres%3A%2F%2Fu%3A{}%40h%2Fdb",
    "postgres%253A%252F%252Fu%253A{}%2540h",
    "%22password%22:%22{}%22",
    "password&quot;:&quot;{}&quot;",
    "&#x27;token&#x27;: &#x27;{}&#x27;",
    '\\\\\\"token\\\\\\": \\\\\\"{}\\\\\\"',
    # In code and in SQL.
    "DB_PASSWORD := {}",
    'password = r"{}"',
    "['mysql', '-p{}']",
    "CREATE USER u IDENTIFIED BY '{}'",
    "ALTER USER u IDENTIFIED WITH caching_sha2_password BY '{}'",
    "SET PASSWORD FOR 'u'@'h' = '{}'",
    "scott/{}@db.example.com:1521/orcl",
]


def planted(count: int, signs: str = "-_.!~") -> list[str]:
    source = random.Random(15)
    return ["".join(source.choices(string.ascii_letters + string.digits + signs, k=12)) for _ in range(count)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_lets_a_secret_through(spelling: str) -> None:
    # What ends a token of a known kind, or a word that is likely to be one, is no part of it.
    signs = "-_.!~" if SPELLINGS.index(spelling) < 16 else "-_"
    for secret in planted(8, signs):
        text = spelling.format(secret, secret)
        for around in (text, f"see {text}", f"{text} ok"):
            assert secret not in provenance.without_credentials(around)
            assert secret.encode() not in provenance.hidden_in_lines(f"{around}\n".encode())
        assert secret not in " ".join(provenance.without_secrets(["app", text, "--users=5"]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--password", "{}"], ["-p", "{}"], ["-p{}"], ["-u", "me:{}"], ["--db-token", "{}"], ["-H", "X-Auth: {}"],
        ["--auth", "me", "{}"], ["--basic-auth", "me:{}"], ["--login", "me", "{}"], ["me:{}"], ["--with", "me:{}"],
        ["h:5432:shop:me:{}"],
    ],
)  # fmt: skip
def test_an_option_hides_its_value(arguments: list[str]) -> None:
    for secret in ("Hunter-2!", "x1y2z3w4"):
        given = ["app", *(a.format(secret) for a in arguments), "--port", "80"]
        kept = provenance.without_secrets(given)
        assert secret not in " ".join(kept)
        assert kept[-2:] == ["--port", "80"]
        assert secret in " ".join(lab.Target("a", host="http://h", command=["python", *given]).secrets())


@pytest.mark.parametrize("option", ["-w", "-k", "-t", "-W"])
def test_what_looks_like_a_secret_after_an_option_of_one_letter_is_hidden(option: str) -> None:
    assert provenance.without_secrets([option, "x1y2z3w4", "a"]) == [option, "…", "a"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-f", "locustfile2.py"], ["-w", "4"], ["-t", "10s"], ["-k", "uvicorn.workers.UvicornWorker"], ["web:8000"],
        ["app.main:app"], ["postgres:15-alpine"], ["node:v20.1"], ["-m", "http.server", "8001"], ["main:create_app2()"],
        ["-b", "0.0.0.0:8000"], ["--auth", "none", "app.py"], ["-c", "gunicorn.conf.py"],
    ],
)  # fmt: skip
def test_arguments_that_are_no_secrets_stay(arguments: list[str]) -> None:
    kept = provenance.without_secrets(arguments)
    assert kept[-1] == arguments[-1]


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
        *(
            "KeyError: 'id'",
            "AuthenticationError: no such user",
            "password is incorrect",
            "Basic search",
            "2 passed, 1 failed",
        ),
        *(
            "unexpected token < in JSON",
            "POST /oauth/token",
            "http://127.0.0.1:8000/@user",
            "max_tokens=500",
            "monkey=x",
        ),
        *(
            'duplicate key value violates unique constraint "orders_pkey"',
            "for key 'PRIMARY'",
            "app -p 8001",
            '{"name": "orders", "value": "5"}',
            "- name: WORKERS\n  value: 8",
            "see /a/b@2x.png and registry/app@sha256:0123",
            "identified by id",
            "00:16:3e:12:34:56 at 12:34:56:789",
            "mkdir -p /x",
        ),
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert provenance.without_credentials(text) == text


ERRORS = (
    "401 Client Error for url: http://h/a?page=2&token={}", "bad header ('X-Api-Key', '{}')", "Bearer {} has expired",
    "Access denied (using password: {})", "http://me:{}@h/ refused", '{{"error": "no", "api_key": "{}"}}',
    "set-cookie: sid={}; Path=/",
)  # fmt: skip


JOURNAL = """
import json, sys, time
from pathlib import Path
from perflab.loadtest.journal import Journal
errors, secrets = json.load(sys.stdin)
journal = Journal(Path(sys.argv[1]) / "local-1", given=["opensesame"])
for error in errors:
    for secret in secrets:
        text = error.format(secret)
        journal.on_request("GET", f"/a?page=2&token={secret}", 1.0, 1, None, {}, ValueError(text), time.time())
        journal.on_request("GET", "/opensesame", 1.0, 1, None, {}, "sent opensesame", time.time())
        journal.on_check(f"body has token={secret}", ok=True, response=None, endpoint=None)
        journal.on_user_error(text)
        journal.on_user_ended(text)
journal.flush()
"""


def test_records_of_requests_hold_no_secret(tmp_path: Path) -> None:
    secrets = planted(8, "-_")
    command = [sys.executable, "-c", JOURNAL, str(tmp_path)]
    subprocess.run(command, input=json.dumps([ERRORS, secrets]), text=True, check=True)
    (process,) = capture.processes(tmp_path)
    written = (tmp_path / "local-1.jsonl").read_text()
    assert [secret for secret in ["opensesame", *secrets] if secret in written] == []
    assert [note["name"] for note in process.notes["endpoint"]] == ["GET /a?page=2&token=…", "GET /…"]
    assert process.count == 2 * len(ERRORS) * len(secrets)
    assert len(process.notes["error"]) == len(ERRORS) + 1


def test_kept_logs_hold_no_secret(tmp_path: Path) -> None:
    target = lab.Target(
        "a", host="http://me:pass1word@h", command=["app", "--password", "hunter2", "-k"], record_env=["SHOWN"],
        env={"DB_PASS": "opensesame", "DSN": "redis://:x1y2z3@h/0", "SHOWN": "visible1", "AUTH": "on", "WORKERS": "8"},
    )  # fmt: skip
    output = tmp_path / "target.log"
    output.write_bytes(b"opensesame hunter2 x1y2z3 pass1word visible1 on 8\n\xff\x00 GITHUB_TOKEN=s3cr3t\n")
    logfiles.clean(tmp_path, target.secrets())
    assert output.read_bytes().decode("utf-8", "replace") == "… … … … visible1 on 8\n\ufffd\0 GITHUB_TOKEN=…\n"


def test_an_address_with_a_secret_is_in_no_error() -> None:
    with pytest.raises(lab.PerflabError) as refused:
        lab.read("https://me:hunter2@h/x?token=x1y2z3")
    assert "hunter2" not in str(refused.value) and "x1y2z3" not in str(refused.value)


def test_a_word_of_an_address_is_no_secret() -> None:
    assert provenance.secrets_in("--dsn=postgres%3A%2F%2Fme%3Ahunter2%40h") == [
        "postgres%3A%2F%2Fme%3Ahunter2%40h",
        "hunter2",
    ]


def test_printed_output_is_cleaned_in_bounded_time() -> None:
    plain = b"\xff\xfe 127.0.0.1 GET /orders?page=5 200\n" * 100
    assert provenance.hidden_in_lines(plain) == plain
    mixed = plain + b"DB_PASSWORD=hunter2\nsent opensesame\n" + b"a" * 10_000 + b" token=hunter2"
    cleaned = provenance.hidden_in_lines(mixed, ["opensesame"])
    assert cleaned.startswith(plain)
    assert b"hunter2" not in cleaned
    assert b"opensesame" not in cleaned
    assert cleaned.endswith(b"a token=\xe2\x80\xa6")


@pytest.mark.parametrize("part", ["key", "token.", "pass-", "x.-"])
def test_a_long_word_of_parts_of_names_costs_no_minutes(part: str) -> None:
    """Each part may be the name of a secret: 7,000 of them took a third of a minute, and twice as many four times that."""
    assert provenance.hidden(part * 7_000) == part * 7_000
