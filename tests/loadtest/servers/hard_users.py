"""Users that are hard on the generator, for tests: each leaves, ends, blocks or reports in its own way."""

import ctypes
import sys
import time

import gevent
from locust import FastHttpUser, HttpUser, constant, events, task
from locust.exception import RescheduleTask, StopUser
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

asked = {"n": 0, "logins": 0}


def thinks(user: object) -> None:
    with user.client.get("/ok", catch_response=True):
        gevent.sleep(0.05)


TASKS = [
    lambda user: user.client.get("/flaky"),
    lambda user: user.client.get("/closes"),
    lambda user: user.client.get("/brief"),
    thinks,
]


class Fast(FastHttpUser):
    wait_time = constant(0.02)
    tasks = TASKS


class Requests(HttpUser):
    wait_time = constant(0.02)
    tasks = TASKS


class Pauses(FastHttpUser):
    """One task without end, which pauses; and a farewell after the plan's time."""

    @task
    def loop(self) -> None:
        while True:
            self.client.get("/ok")
            gevent.sleep(0.15)

    def on_stop(self) -> None:
        self.client.get("/farewell")


class Logins(FastHttpUser):
    """Three of four can't log in, and leave."""

    wait_time = constant(0.02)

    def on_start(self) -> None:
        asked["logins"] += 1
        number = asked["logins"]
        self.client.get("/login")
        if number % 4:
            raise RuntimeError("cannot log in")

    @task
    def ok(self) -> None:
        self.client.get("/ok")


class Stops(FastHttpUser):
    """Stops itself after a few requests."""

    @task
    def ok(self) -> None:
        for _ in range(5):
            self.client.get("/ok")
        raise StopUser


class Repeats(HttpUser):
    """Retries of the locustfile's own, and a redirect."""

    def on_start(self) -> None:
        self.client.mount("http://", HTTPAdapter(max_retries=Retry(2, backoff_factor=0)))

    @task
    def again(self) -> None:
        self.client.get("/moved")
        self.client.get("/closes")


class FastRepeats(FastHttpUser):
    """FastHttpUser repeats what timed out."""

    network_timeout, max_retries = 0.1, 2

    @task
    def again(self) -> None:
        self.client.get("/moved")
        self.client.get("/hang")


class Quits(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def ok(self) -> None:
        self.client.get("/ok")
        asked["n"] += 1
        if asked["n"] == 40:
            self.environment.runner.quit()


class Exits(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def ok(self) -> None:
        self.client.get("/ok")
        asked["n"] += 1
        if asked["n"] == 40:
            sys.exit(3)


class Hangs(HttpUser):
    @task
    def hang(self) -> None:
        self.client.get("/hang", timeout=30)


class HangsByDefault(HttpUser):
    @task
    def hang(self) -> None:
        self.client.get("/hang")


class Lingers(HttpUser):
    """Asks for what is never answered, after something that is."""

    @task
    def linger(self) -> None:
        self.client.get("/ok")
        self.client.get("/hang", timeout=30)


class Hides(FastHttpUser):
    """A listener at module level that keeps failures from those behind it."""

    wait_time = constant(0.02)

    @task
    def closes(self) -> None:
        self.client.get("/closes")


@events.request.add_listener
def hide(exception: object = None, name: str = "", user: object = None, **_: object) -> None:
    if exception and name == "/closes" and asked.get("hide"):
        raise RescheduleTask


@events.test_start.add_listener
def hiding(environment: object, **_: object) -> None:
    asked["hide"] = [c.__name__ for c in environment.user_classes] == ["Hides"]


class Blocks(FastHttpUser):
    """A call into C that holds the whole process for 8 ms in each task."""

    @task
    def ok(self) -> None:
        self.client.get("/ok")
        ctypes.CDLL(None).usleep(8_000)


class Drags(Blocks):
    """The same, and so seldom that little of the time is lost."""

    wait_time = constant(0.5)


class Raises(FastHttpUser):
    """Raises before two of three requests."""

    wait_time = constant(0.05)

    @task
    def sometimes(self) -> None:
        asked["n"] += 1
        if asked["n"] % 3:
            raise RuntimeError("no basket")
        self.client.get("/ok")


class Thinks(FastHttpUser):
    """Two users of the locustfile's own number, who think for long."""

    fixed_count = 2
    wait_time = constant(0.7)

    @task
    def ok(self) -> None:
        self.client.get("/ok")


class Complains(Thinks):
    """A listener raises."""


@events.quitting.add_listener
def own_end(environment: object, **_: object) -> None:
    running = [c.__name__ for c in environment.user_classes]
    if running == ["Thinks"]:
        environment.process_exit_code = 1
    if running == ["Complains"]:
        raise LookupError("no report")


class Odd(FastHttpUser):
    """Reports events with values of all kinds that Locust's own statistics take, beside its requests."""

    wait_time = constant(0.1)

    @task
    def report(self) -> None:
        self.client.get("/ok")
        usual = {"request_type": "own", "response_time": 1.5, "response_length": 3, "exception": None, "context": {}}
        for name, more in {
            "negative": {"response_time": -3},
            "no time": {"response_time": None, "response_length": None, "context": None},
            "float length": {"response_length": 3.7},
            "text context": {"context": "text"},
            "no wall clock": {"start_time": time.perf_counter()},
            "milliseconds": {"start_time": time.time() * 1e3},
            "not a number": {"start_time": float("nan")},
            "surrogate": {"exception": ValueError("half an emoji \ud83d")},
            "n" * 600 + "a": {},
            "n" * 600 + "b": {},
        }.items():
            self.environment.events.request.fire(**{**usual, "name": name, **more})
