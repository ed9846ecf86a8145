"""A web shop to investigate: Flask, SQLAlchemy and SQLite behind waitress.

    python -m perflab.demo.shop --port 8001
    SHOP_FIXES=eager,index python -m perflab.demo.shop --port 8002

It is slow for real reasons, each fixed by a name in ``SHOP_FIXES``:

- ``eager``: GET /orders reads the lines of each order with a separate statement (N+1), GET /customers does so
  for orders, lines and products (nested N+1)
- ``index``: GET /parcels/[tracking] scans a big table
- ``parallel``: GET /products/[id]/offer calls three downstream services, one after another
- ``cache``: GET /bestsellers adds up all sales at each call

``SHOP_REDIS=redis://127.0.0.1:6379`` keeps some pages in Redis (`redis_cache`).
The other pages have no defect. All data are synthetic, and the same for the same seed.
"""
