"""A web shop to investigate: Flask, SQLAlchemy and SQLite behind waitress.

    python -m perflab.demo.shop --port 8001
    SHOP_FIXES=eager,index python -m perflab.demo.shop --port 8002

It is slow for real reasons, each fixed by a name in ``SHOP_FIXES``:

- ``eager``: GET /orders reads the lines of each order with a separate statement (N+1), GET /customers does so
  for orders, lines and products (nested N+1)
- ``index``: GET /parcels/[tracking] scans a big table
- ``parallel``: GET /products/[id]/offer calls three downstream services, one after another
- ``cache``: GET /bestsellers adds up all sales at each call

GET / is a page for a browser (`storefront`), with faults of its own:

- ``webp``: its images are PNG, and larger than they are shown
- ``headers``: what never changes has no Cache-Control
- ``compress``: text is not compressed
- ``stable``: a banner appears after 150 ms and moves the page down
- ``quick``: a click on Buy blocks the page for 80 ms
- ``slim``: a big script that nothing uses blocks the first paint

``SHOP_REDIS=redis://127.0.0.1:6379`` keeps some pages in Redis (`redis_cache`).
The other pages have no defect. All data are synthetic, and the same for the same seed.
"""
