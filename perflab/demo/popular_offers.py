"""Offers of products, some much more popular than others (Zipf's law), as a cache would be asked.

locust -f popular_offers.py --headless -u 12 -t 14s -H http://127.0.0.1:8001
"""

import bisect
import itertools
import random

from locust import FastHttpUser, constant, task

SKEW, PRODUCTS, WAIT_S = 1.0, 1_200, 0.1
WEIGHTS = list(itertools.accumulate(1 / rank**SKEW for rank in range(1, PRODUCTS + 1)))
RANKED = random.Random(5).sample(range(1, PRODUCTS + 1), PRODUCTS)


class Shopper(FastHttpUser):
    """Views an offer, waits a moment, and views the next."""

    wait_time = constant(WAIT_S)

    @task
    def offer(self) -> None:
        product = RANKED[bisect.bisect_left(WEIGHTS, random.random() * WEIGHTS[-1])]
        self.client.get(f"/products/{product}/offer", name="/products/[id]/offer")
