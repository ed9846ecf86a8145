"""A real shop with real defects, and the investigation that finds them."""
