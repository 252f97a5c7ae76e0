"""The clients: sockets by picows, HTTP over keep-alive connections.

HTTP is asked by ``wrk`` where it is installed, else by eighty lines on ``asyncio.Protocol``: the load generators on
PyPI do not come near the server's own speed. Ours sends one prepared request per connection again and again, and reads
no more of the answer than its end and its status. Both find the same ratios; ``wrk`` takes less of the core that it
shares with PostgreSQL.
"""
