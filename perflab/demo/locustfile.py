"""Visitors of the shop: mostly looking at orders and products, now and then tracking a parcel or buying."""

import random

from locust import FastHttpUser, between, task


class Visitor(FastHttpUser):
    wait_time = between(0.05, 0.25)

    @task(40)
    def orders(self) -> None:
        self.client.get(f"/orders?page={random.randrange(30)}&size={random.choice((20, 40, 40, 60))}", name="/orders")

    @task(8)
    def order(self) -> None:
        self.client.get(f"/orders/{random.randint(1, 6_000)}", name="/orders/[id]")

    @task(3)
    def customers(self) -> None:
        self.client.get(f"/customers?page={random.randrange(100)}", name="/customers")

    @task(10)
    def products(self) -> None:
        self.client.get(f"/products?after={random.randrange(480)}", name="/products")

    @task(14)
    def product(self) -> None:
        self.client.get(f"/products/{random.randint(1, 500)}", name="/products/[id]")

    @task(2)
    def bestsellers(self) -> None:
        self.client.get("/bestsellers")

    @task(2)
    def rates(self) -> None:
        self.client.get("/rates")

    @task(3)
    def shipment(self) -> None:
        number = (random.randint(1, 40_000) * 7_919) % 10_000_019
        self.client.get(f"/shipments/TR{number:08d}", name="/shipments/[tracking]")

    @task(3)
    def cart(self) -> None:
        self.client.post("/cart", json={"product": random.randint(1, 500), "quantity": 1})
