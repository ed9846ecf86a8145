"""A small shop on Flask, SQLAlchemy and SQLite with defects that real applications have.

    python -m perflab.demo.shop --port 8001

SHOP_FIXES names the defects to mend: eager, index, parallel, cache (several with commas).
"""
