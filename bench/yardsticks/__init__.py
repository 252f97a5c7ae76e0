"""Yardsticks: the smallest programs that do the same work as the application on the same server."""
