"""What the application says about itself: logs, correlation, access log, metrics, health."""
