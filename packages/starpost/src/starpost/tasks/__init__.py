"""Background tasks: declared by domains, run for as long as the application does, some of them once per cluster.

A domain lists its tasks; they take their dependencies by name, as handlers do::

    from starpost.tasks import BackgroundTask

    async def remove_old_drafts(statements: Statements) -> None:
        await statements.all(REMOVE_OLD_DRAFTS)

    domain = Domain(name="drafts", tasks=[BackgroundTask(remove_old_drafts, every=3600, once_per_cluster=True)])

The supervisor starts each again after a failure, with back-off. A lease in Redis keeps a task with ``once_per_cluster``
in one worker; ``Lease.fence`` protects writes even if Redis loses the lease.
"""

from starpost.tasks.lease import Lease, Leases
from starpost.tasks.planning import GIVEN, PlannedTask, plan_tasks
from starpost.tasks.supervisor import Supervisor
from starpost.tasks.task import BackgroundTask

__all__ = ["GIVEN", "BackgroundTask", "Lease", "Leases", "PlannedTask", "Supervisor", "plan_tasks"]
