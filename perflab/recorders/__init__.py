"""Recorders for your own application: light hooks that write its evidence as JSON lines.

They run inside the application under test, so they are standard library plus the framework that they hook,
and import nothing else of perflab. Read what they wrote with ``perflab.read``.

- `perflab.recorders.sqlalchemy.record_queries`: every statement of an SQLAlchemy engine
- `perflab.recorders.flask.identify_requests`: request id and route of a Flask application
- `perflab.recorders.wsgi.RequestContext`: the same for any other WSGI application
- `perflab.recorders.checks.check`: named assertions in a locustfile
- `perflab.recorders.context`: request id and route by hand (jobs, workers, other frameworks)
"""
