"""How people use the shop: mostly the lists of orders, and a little of everything else.

locust -f locustfile.py --headless -u 65 -r 65 -t 8s -H http://127.0.0.1:8001
"""

import random

import gevent
from locust import FastHttpUser, between, task

PRODUCTS, CUSTOMERS, ORDERS, PARCELS = 1_200, 3_000, 15_000, 120_000
PAGE_SIZES = (20, 30, 40)


class Shopper(FastHttpUser):
    """Views a page, waits about a second, and views the next."""

    wait_time = between(0.5, 1.5)
    network_timeout = 10.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        self.cart = f"cart-{random.getrandbits(48):x}"
        gevent.sleep(random.uniform(0.0, 1.0))  # so that users are not in step

    @task(72)
    def orders(self) -> None:
        size, before = random.choice(PAGE_SIZES), random.randint(100, ORDERS)
        self.client.get(f"/orders?size={size}&before={before}", name="/orders")

    @task(5)
    def order(self) -> None:
        self.client.get(f"/orders/{random.randint(1, ORDERS)}", name="/orders/[id]")

    @task(5)
    def product(self) -> None:
        self.client.get(f"/products/{random.randint(1, PRODUCTS)}", name="/products/[id]")

    @task(5)
    def products(self) -> None:
        self.client.get(f"/products?after={random.randint(0, PRODUCTS - 20)}", name="/products")

    @task(4)
    def add_to_cart(self) -> None:
        item = {"product": random.randint(1, PRODUCTS), "quantity": random.randint(1, 3)}
        self.client.post(f"/carts/{self.cart}", json=item, name="/carts/[id]")

    @task(3)
    def offer(self) -> None:
        self.client.get(f"/products/{random.randint(1, PRODUCTS)}/offer", name="/products/[id]/offer")

    @task(3)
    def parcel(self) -> None:
        tracking = f"PX{700_000_000 + random.randint(1, PARCELS)}EU"
        self.client.get(f"/parcels/{tracking}", name="/parcels/[tracking]")

    @task(2)
    def bestsellers(self) -> None:
        self.client.get("/bestsellers")

    @task(1)
    def customers(self) -> None:
        self.client.get(f"/customers?after={random.randint(0, CUSTOMERS - 5)}", name="/customers")
