"""A locustfile for tests."""

import hashlib
import os

from locust import FastHttpUser, HttpUser, TaskSet, constant, constant_throughput, tag, task

from perflab.recorders.checks import check


class Shopper(FastHttpUser):
    wait_time = constant(0.02)

    @task(3)
    def ok(self) -> None:
        self.client.get("/ok")

    @task
    @tag("slow")
    def slow(self) -> None:
        self.client.get("/slow?id=1", name="/slow")


class Failing(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def fail(self) -> None:
        self.client.get("/fail")


class Broken(FastHttpUser):
    def on_start(self) -> None:
        raise RuntimeError("no such account")

    @task
    def never(self) -> None:
        self.client.get("/ok")


class Sleeper(FastHttpUser):
    @task
    def sleep(self) -> None:
        self.client.get("/sleep?1.5", name="/sleep")


class Chain(FastHttpUser):
    @task
    def chain(self) -> None:
        for _ in range(8):
            self.client.get("/sleep?0.5", name="/sleep")


class Pacer(FastHttpUser):
    """Twenty requests a second of each user, as long as the answers come."""

    wait_time = constant_throughput(20)

    @task
    def ok(self) -> None:
        self.client.get("/ok")


class Visitor(FastHttpUser):
    """Says which process it is in, so that the server's log tells the workers apart; checks what it gets."""

    wait_time = constant(0.01)

    @task
    def ok(self) -> None:
        response = self.client.get("/ok", name="/visit", headers={"X-Process": str(os.getpid())})
        check(response, {"is 200": lambda r: r.status_code == 200, "has 10 bytes": lambda r: len(r.content) == 10})
        with self.client.get("/slow", catch_response=True) as response:
            check(response, {"is JSON": lambda r: bool(r.json())})
        check("always", True, endpoint="the visit")


class Login(FastHttpUser):
    """Logs in first, which takes its time."""

    def on_start(self) -> None:
        self.client.get("/sleep?0.3", name="/login")

    @task
    def ok(self) -> None:
        self.client.get("/ok")


class Sessions(HttpUser):
    """A user of requests' kind."""

    wait_time = constant(0.02)

    @task
    def echo(self) -> None:
        response = self.client.get("/headers", name="/session")
        check(response, {"has the header": lambda r: "X-Plan: yes" in r.text})


class FastSessions(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def echo(self) -> None:
        response = self.client.get("/headers")
        check(response, {"has the header": lambda r: "X-Plan: yes" in r.text})


class Mostly(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def mostly(self) -> None:
        self.client.get("/ok", name="/mostly")


class Seldom(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def seldom(self) -> None:
        self.client.get("/ok", name="/seldom")


class Grumbler(FastHttpUser):
    """Raises in its task, once the request is made."""

    wait_time = constant(0.02)

    @task
    def grumble(self) -> None:
        self.client.get("/ok", name="/grumble")
        raise LookupError("no cart")


class Blocker(FastHttpUser):
    """Holds up its whole process before it asks."""

    @task
    def block(self) -> None:
        hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 100_000)
        self.client.get("/ok")


class Idle(FastHttpUser):
    """Does something, but asks nobody."""

    wait_time = constant(0.1)

    @task
    def think(self) -> None:
        pass


class Flow(TaskSet):
    @task
    def step(self) -> None:
        self.client.get("/ok")


class Nested(FastHttpUser):
    tasks = [Flow]  # noqa: RUF012 - Locust's own way


class Recycled(FastHttpUser):
    """A new connection for each request."""

    wait_time = constant(0.05)

    @task
    def ok(self) -> None:
        self.client.get("/ok", headers={"Connection": "close"})
