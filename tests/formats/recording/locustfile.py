"""The locustfile behind tests/samples/locust_*; with LOCUST_REQUEST_LOG a row for each request (CsvRequestLogger)."""

import os

from locust import FastHttpUser, constant, events, task


class Buyer(FastHttpUser):
    wait_time = constant(0.02)

    @task(3)
    def orders(self):
        self.client.get("/orders?page=1")

    @task
    def flaky(self):
        self.client.get("/flaky")

    @task
    def cart(self):
        self.client.post("/cart", name='cart, "quoted"', json={"sku": 1})

    @task
    def refused(self):
        self.client.get("http://127.0.0.1:9/", name="/refused")


if path := os.environ.get("LOCUST_REQUEST_LOG"):
    from locust.contrib.csv_request_logger import CsvRequestLogger

    @events.init.add_listener
    def log_requests(environment, **_):
        CsvRequestLogger(path).register(environment)
