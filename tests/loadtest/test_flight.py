"""What becomes of each request inside Locust, in a process of its own, since gevent patches it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from perflab.loadtest.capture import process_of, write_requests

SCRIPT = """
import json, sys
from pathlib import Path
import gevent
from gevent.pool import Group
from gevent.pywsgi import WSGIServer
from locust import FastHttpUser, HttpUser, TaskSet, constant, events, task
from locust.env import Environment
from perflab.loadtest.ending import Ending
from perflab.loadtest.flight import Flight
from perflab.loadtest.journal import Journal

folder, kind = Path(sys.argv[1]), {"fast": FastHttpUser, "requests": HttpUser}[sys.argv[2]]
served = []

def answer(environ, start):
    served.append(environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/hang":
        gevent.sleep(5)
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]

server = WSGIServer(("127.0.0.1", 0), answer, log=None)
server.start()
flight = Flight()
journal = Journal(folder / "local-1", flight)
left = []
ending = Ending(flight, left.append)
flight.watch(3.0)
ending.watch()
kind.host = f"http://127.0.0.1:{server.server_port}"
environment = Environment(events=events, stop_timeout=1)
environment.events.request._handlers.insert(0, journal.on_request)

class Inner(TaskSet):
    wait_time = constant(10)
    @task
    def ok(self): self.client.get("/ok")
    def on_stop(self): self.client.get("/inner_stop")

class Leaves(kind):
    tasks = [Inner]
    def on_stop(self): self.client.get("/stop")

class Swallows(kind):
    @task
    def ok(self):
        while True:
            try:
                self.client.get("/loop")
            except Exception:
                pass
            gevent.sleep(0.01)

class Plain(kind):
    tasks = [lambda user: None]

get = Plain(environment).client.get

def within(do):
    with get("/with", catch_response=True) as caught:
        do(caught)

def twice(caught):
    caught.success()
    caught.failure("after all")

def elsewhere():
    caught = gevent.spawn(get, "/elsewhere", catch_response=True).get()
    with caught:
        pass

def late():
    with gevent.Timeout(0.2):
        get("/hang")

CASES = {
    "plain": lambda: get("/ok"),
    "marked twice": lambda: within(twice),
    "never marked": lambda: within(lambda caught: None),
    "raised in the block": lambda: within(lambda caught: 1 / 0),
    "nested": lambda: within(lambda caught: within(twice)),
    "another greenlet": elsewhere,
    "without a block": lambda: get("/held", catch_response=True),
    "cannot be sent": lambda: get("/ok", headers=7),
    "timeout of its own": late,
}
found = {}

def counted():
    return {"served": len(served), "recorded": journal.count,
            **{name: getattr(flight, name) for name in ("sent", "cut", "timed_out", "dropped", "held", "late", "in_flight")}}

for name, do in CASES.items():
    before = counted()
    def case():
        try:
            do()
        except BaseException:
            pass
    gevent.spawn(case).get()
    found[name] = {key: value - before[key] for key, value in counted().items() if value != before[key]}
group = Group()
users = [Leaves(environment), Swallows(environment)]
pairs = [(user, user.start(group)) for user in users]
gevent.sleep(0.3)
before = len(served)
ending.end(lambda: pairs)
found["all ended"] = group.join(2) is None or not len(group)
gevent.sleep(0.1)
found["served after the end"] = sorted(set(served[before:]) - {"/loop"}), served[before:].count("/loop") <= 1
found["left"] = left, len(flight.open)
print(json.dumps(found))
"""

ONE = {"served": 1, "sent": 1}


@pytest.mark.parametrize("client", ["fast", "requests"])
def test_each_request_is_recorded_or_counted_apart_once(tmp_path: Path, client: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), client], capture_output=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("all ended")
    # An on_stop may send, of a TaskSet too; a task that catches what ends it may not.
    assert found.pop("served after the end") == [["/inner_stop", "/stop"], True]
    assert found.pop("left") == [[], 0]
    recorded = {**ONE, "recorded": 1}
    assert found == {
        "plain": recorded,
        "marked twice": recorded,
        "never marked": recorded,
        "raised in the block": {**ONE, "dropped": 1},
        "nested": {"served": 2, "sent": 2, "recorded": 2},
        "another greenlet": recorded,
        "without a block": {**ONE, "held": 1},
        "cannot be sent": {},
        # FastHttpUser reports it as a failure.
        "timeout of its own": recorded if client == "fast" else {**ONE, "cut": 1, "timed_out": 1},
    }


def test_what_listeners_of_the_start_report_is_outside_the_plans_time(tmp_path: Path) -> None:
    """Three records before the start, two after it."""
    script = (
        "import sys, pathlib; from perflab.loadtest.journal import Journal; j = Journal(pathlib.Path(sys.argv[1]) / 'local-1')\n"
        "for i in range(5):\n"
        "    if i == 3: j.note('start', time=1.0, before=j.count)\n"
        "    j.on_request('GET', f'/{i}', 1.5, 2)\n"
        "j.flush()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    written = write_requests([process_of(tmp_path / "local-1.jsonl")], tmp_path / "requests.parquet")
    assert (written.rows, written.late, [*written.by_endpoint]) == (2, 3, ["GET /3", "GET /4"])


ARRIVALS = """
import json, time
from gevent.pool import Group
from locust import FastHttpUser, User, events
from locust.env import Environment
from locust.exception import RescheduleTask, StopUser
from perflab.loadtest.arrivals import Pace, arrivals_class
from perflab.loadtest.recorder import _apply_timeouts

def leaves(user):
    raise StopUser

def asks_and_leaves(user):
    user.context()
    raise StopUser

def chooses_again(user):
    raise RescheduleTask

class Plain(User):
    tasks = [asks_and_leaves]

class Leaves(Plain):
    on_start = leaves

class Reschedules(User):
    tasks = [chooses_again]

class Idle(User):
    tasks = [lambda user: None]

environment, raised, found = Environment(events=events), [], {}
events.user_error.add_listener(lambda exception, **_: raised.append(type(exception).__name__))
for kind in (Plain, Leaves, Reschedules, Idle):
    pace = Pace()
    made = arrivals_class([kind], {"stages": [], "workers": 1}, pace)(environment)
    made.idle, made.fresh, made.running, made.spun_s = {kind: []}, {kind: []}, Group(), 0.0
    raised.clear()
    made._arrive(time.time())
    found[kind.__name__] = [pace.failed, *raised]

class Patient(FastHttpUser):
    network_timeout = FastHttpUser.network_timeout

_apply_timeouts([Patient], 7.0)
found["timeouts"] = [Patient.network_timeout, Patient.connection_timeout, FastHttpUser.network_timeout]
print(json.dumps(found))
"""


def test_an_arrival_whose_user_left_before_its_first_request_is_counted() -> None:
    done = subprocess.run([sys.executable, "-c", ARRIVALS], capture_output=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    # A class's own is kept, also where it is Locust's default.
    assert found.pop("timeouts") == [60.0, 7.0, 60.0]
    assert found == {"Plain": [0], "Leaves": [1, "StopUser"], "Reschedules": [1, "RescheduleTask"], "Idle": [0]}
