"""Background tasks: declared by domains, run for as long as the application does, some of them once per cluster."""

from starpost.tasks.lease import Lease, Leases
from starpost.tasks.planning import GIVEN, PlannedTask, plan_tasks
from starpost.tasks.supervisor import Supervisor
from starpost.tasks.task import BackgroundTask

__all__ = ["GIVEN", "BackgroundTask", "Lease", "Leases", "PlannedTask", "Supervisor", "plan_tasks"]
