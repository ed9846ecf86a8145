"""Driving load: plans, targets, Locust in its own process, and runs that are judged valid or not."""
