"""A web shop to investigate: Flask, SQLAlchemy and SQLite behind waitress.

    python -m perflab.demo.shop --port 8001
    SHOP_FIXES=eager,index python -m perflab.demo.shop --port 8002

It is slow for real reasons, each of which a name in ``SHOP_FIXES`` fixes:

- ``eager``: GET /orders reads the lines of each order by a statement of its own (N+1), GET /customers does so
  for orders, lines and products (nested N+1)
- ``index``: GET /parcels/[tracking] reads a big table from end to end
- ``parallel``: GET /products/[id]/offer asks three downstream services, one after another
- ``cache``: GET /bestsellers adds up all sales at each call

The other pages have no defect. All data are made up, and the same for the same seed.
"""
