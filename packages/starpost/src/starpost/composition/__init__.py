"""Composition of framework and domains: declarations, then services, then the application.

An application calls ``create_app`` once, in each worker::

    from app import domains
    from app.pkg_ids import PkgID
    from app.settings import Settings
    from starpost import create_app

    application = create_app(Settings.load(), domains=domains, pkg_ids=PkgID, title="Shop")

``create_app`` collects every fault of code and permission table, and raises one ``DeclarationError`` that names them
all. It opens no connection: the lifespan starts and stops the services. Two applications in one process share nothing.
"""

from starpost.composition.application import create_app
from starpost.composition.blueprint import Blueprint, find_domains
from starpost.composition.unlaunched import create_unlaunched

__all__ = ["Blueprint", "create_app", "create_unlaunched", "find_domains"]
