"""Development tools of an application made with Starpost; never a part of its image."""
