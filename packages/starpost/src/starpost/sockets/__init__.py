"""The second door for sockets: a listener of picows beside the server's own, for ``/web`` alone (``WS_PORT``).

A handshake on its way in:

- ``listener`` accepts it on the worker's loop, bounds those that have yet to speak, and calls the application;
- ``handshake`` refuses what is none, and makes an ASGI scope of the rest;
- ``channel`` is one socket's ASGI ``receive`` and ``send``, and keeps to RFC 6455 where picows leaves that to us.

Everything behind it is the application, as behind the first door: hosts, origins, tokens, limits, sessions, drain.

picows is an extra of the distribution, so nothing is imported here::

    from starpost.sockets.listener import Listener

    async with Listener(app, path="/web", host="127.0.0.1", port=8001, max_message_bytes=1_048_576):
        ...
"""
