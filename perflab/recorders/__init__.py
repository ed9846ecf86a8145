"""Recorders for your own application: small hooks that write its queries, requests and profiles as JSON lines.

They run inside the application under test, so they use the standard library and the framework that they hook, and
import nothing else of perflab. Read what they wrote with ``perflab.read``.

- `perflab.recorders.sqlalchemy.record_queries`: every statement of an SQLAlchemy engine, sync or async
- `perflab.recorders.django.QueryRecorder`: middleware for Django, statements with request id and route
- `perflab.recorders.dbapi.recorded`: any DB-API driver (sqlite3, psycopg, PyMySQL, ...) by wrapping its ``connect``
- `perflab.recorders.breakdown.record_requests` (WSGI; ASGI: ``record_async_requests``): the components of each request
- `perflab.recorders.flask.identify_requests`: request id and route of a Flask application
- `perflab.recorders.wsgi.RequestContext`, `perflab.recorders.asgi.RequestContext`: the same for any other application
- `perflab.recorders.checks.check`: named assertions in a locustfile
- `perflab.recorders.profiling.profile_requests`: a profile by endpoint, when a run requests it
- `perflab.recorders.context`: request id and route set by hand (jobs, workers, other frameworks)
"""
