"""The four pages of the shop that have a defect each, asked equally often.

locust -f four_pages.py --headless -u 10 -t 10s -H http://127.0.0.1:8001
"""

import random

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """One page each time; the plan says how often."""

    @task
    def orders(self) -> None:
        self.client.get(f"/orders?size=30&before={random.randint(100, 15_000)}", name="/orders")

    @task
    def parcel(self) -> None:
        tracking = f"PX{700_000_000 + random.randint(1, 120_000)}EU"
        self.client.get(f"/parcels/{tracking}", name="/parcels/[tracking]")

    @task
    def offer(self) -> None:
        self.client.get(f"/products/{random.randint(1, 1_200)}/offer", name="/products/[id]/offer")

    @task
    def bestsellers(self) -> None:
        self.client.get("/bestsellers")
