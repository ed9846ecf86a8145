"""The public names of this package that `perflab` itself does not export."""

__all__: list[str] = []
