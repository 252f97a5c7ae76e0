"""Console: the page at ``/`` that signs in, sends packets and shows the replies. Development only.

``create_app`` adds its routes; in production, and with ``CONSOLE_ENABLED=false``, they answer 404::

    from starpost.console import console_routes

    routes = console_routes(settings)
"""

from starpost.console.routes import console_routes

__all__ = ["console_routes"]
