"""A locustfile for tests."""

from locust import FastHttpUser, constant, tag, task


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
        self.client.get("/sleep?3", name="/sleep")


class Chain(FastHttpUser):
    @task
    def chain(self) -> None:
        for _ in range(8):
            self.client.get("/sleep?0.5", name="/sleep")
