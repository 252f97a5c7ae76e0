"""Load generators: sockets by picows, HTTP over keep-alive connections.

HTTP load comes from ``wrk`` if it is installed, else from eighty lines on ``asyncio.Protocol``: the load generators on
PyPI are far slower than the server. Ours sends one prepared request per connection repeatedly, and parses only status
and end of the answer. Both find the same ratios; ``wrk`` uses less of the core that it shares with PostgreSQL.
"""
