"""Commands of ``make``.

Each module has a ``main``, which the project's script calls::

    from starpost_dev.commands.seed import main
    from starpost_dev.project import Project

    sys.exit(main(Project("app")))

A ``main`` prints its result and returns the exit status.
"""
