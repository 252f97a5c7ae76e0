"""Plan of dependencies: by parameter name, in Litestar's ``Provide``, for packets, routes, tasks and topics.

At start, a plan finds the providers for the arguments of a function, and refuses a declaration that cannot work::

    parameters, faults = parameters_of(handler)
    plan = Plan(parameters, providers, given=frozenset({"request"}))

For each call, it makes them, and finishes the generators among them when the function has returned::

    async with plan.resolve({"request": request}) as arguments:
        await handler(**arguments)

==========  ==============================================  =========================================================
caller      values of its own                               in
==========  ==============================================  =========================================================
a packet    ``request``, ``principal``, ``connection``      ``packets/registry.py``, ``packets/dispatcher.py``
a route     ``request``                                     ``http/handlers.py``
a task      ``publisher``, ``new_unit_of_work``, ``lease``  ``tasks/planning.py``, ``tasks/supervisor.py``
a topic     ``principal``, the topic's parameters           ``topics/authorization.py``
==========  ==============================================  =========================================================

A route is Litestar's, and three things stay its own:

- It makes the dependencies of a route that asks for more than the plan knows: a provider takes a part of the request (a
  query parameter, a header), or several may wait, which Litestar lets them do at the same time.
- It checks the arguments against the annotations, dependencies included, when they have been made. Packets do not: mypy
  has checked them, and the check costs more than most providers.
- With ``FAST_PATHS=false`` it makes the dependencies of all routes.
"""

from starpost.di.parameters import parameters_of
from starpost.di.plan import Plan, WrongDependencyError

__all__ = ["Plan", "WrongDependencyError", "parameters_of"]
