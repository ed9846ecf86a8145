"""Objectives: what latency, throughput and errors must be, read from where they are written, and checked with care."""

from perflab.objectives.attainable import attainable
from perflab.objectives.checking import Checked, check
from perflab.objectives.documents import read_objectives
from perflab.objectives.k6 import from_thresholds
from perflab.objectives.objective import Objective, Objectives

__all__ = ["Checked", "Objective", "Objectives", "attainable", "check", "from_thresholds", "read_objectives"]
