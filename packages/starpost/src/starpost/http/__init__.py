"""HTTP: the middleware around the routing, handlers, input, parameters, and problem documents."""
