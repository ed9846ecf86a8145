"""One workload for every profiler of Python: known shares of CPU time, and a function that calls itself."""

import sys
import time


def half(seconds):
    return spin_half(seconds * 0.5)


def spin_half(seconds):
    total, end = 0, time.process_time() + seconds
    while time.process_time() < end:
        for i in range(500):
            total += i * i
    return total


def spin_third(seconds):
    total, end = 0, time.process_time() + seconds * 0.3
    while time.process_time() < end:
        for i in range(500):
            total += i ^ 3
    return total


def descend(depth, seconds):
    if depth == 0:
        return 0
    total, end = 0, time.process_time() + seconds
    while time.process_time() < end:
        for i in range(500):
            total += i
    return total + descend(depth - 1, seconds)


def main(seconds):
    for _ in range(4):
        half(seconds / 4)
        spin_third(seconds / 4)
        descend(5, seconds / 4 * 0.2 / 5)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
