"""Background tasks: declared by domains, run for as long as the application does, some of them once per cluster."""

from app.framework.tasks.lease import Lease, Leases
from app.framework.tasks.planning import GIVEN, PlannedTask, plan_tasks
from app.framework.tasks.supervisor import Supervisor
from app.framework.tasks.task import BackgroundTask

__all__ = ["GIVEN", "BackgroundTask", "Lease", "Leases", "PlannedTask", "Supervisor", "plan_tasks"]
