"""HTTP: the middleware around the routing, handlers, input, parameters, and problem documents.

Every error becomes a problem document (RFC 9457), with the codes and paths of packets:

    >>> from starpost.errors import NotFoundError
    >>> from starpost.http.problems import refusal
    >>> answer = refusal(NotFoundError("There is no such author"))
    >>> answer.status_code, answer.content.type, answer.content.detail
    (404, '/problems/not_found', 'There is no such author')

``middleware.stack`` is the list of middleware in its order, with the reason for each place. ``JSONRequest`` validates
bodies, ``parameter_errors`` path and query. ``PreparedHandlers`` is the shorter way through Litestar, and off with
``FAST_PATHS=false``.
"""
