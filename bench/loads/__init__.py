"""The clients: sockets by picows, HTTP over keep-alive connections. One process, one core, uvloop.

HTTP has a client of its own, of some eighty lines on ``asyncio.Protocol``: no load generator on PyPI comes near the
server's own speed, and those that do are programs that not every machine has. It sends one prepared request per
connection again and again and reads no more of the answer than its end and its status.
"""
