"""Driving load: plans, targets, Locust in a process of its own, and runs that know whether they are valid."""
