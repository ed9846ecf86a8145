"""The public names of this package that `perflab` itself does not export."""

from .bundles import find_duplicate_modules
from .freshness import Freshness, freshness_of
from .page_metrics import summarize_vitals

__all__ = ["Freshness", "find_duplicate_modules", "freshness_of", "summarize_vitals"]
