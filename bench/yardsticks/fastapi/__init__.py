"""FastAPI under uvicorn, in an environment of its own with the versions of ``requirements.txt``."""
