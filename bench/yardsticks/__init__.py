"""What the application is measured against: the least that could do the same work on the same server."""
