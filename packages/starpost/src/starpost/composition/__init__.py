"""The one place where framework and domains meet: declarations, then services, then the application."""

from starpost.composition.application import create_app
from starpost.composition.blueprint import Blueprint, find_domains
from starpost.composition.unlaunched import create_unlaunched

__all__ = ["Blueprint", "create_app", "create_unlaunched", "find_domains"]
