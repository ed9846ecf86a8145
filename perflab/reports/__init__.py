"""Records for readers without a kernel: reports, exported notebooks, flame graph pages."""
