"""Renaming of the package finds what names it, and nothing else."""

import pytest

from template.exporter.module import renamed_python, renamed_text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import app.domains\nprint(app.domains.__path__)\n", "import shop.domains\nprint(shop.domains.__path__)\n"),
        ("from app import __version__, domains\n", "from shop import __version__, domains\n"),
        ("from app.asgi import create\napp = create()\n", "from shop.asgi import create\napp = create()\n"),
        ("import app.asgi as here, json\n", "import shop.asgi as here, json\n"),
        ("if x:\n    from app.a import (\n        b\n    )\n", "if x:\n    from shop.a import (\n        b\n    )\n"),
        ('x = Project("app")\ny = Other("app")\n', 'x = Project("shop")\ny = Other("app")\n'),
        ('run("app.asgi:create_application")\n', 'run("shop.asgi:create_application")\n'),
        ('"""``python -m app``: app/domains, the app."""\n', '"""``python -m shop``: shop/domains, the app."""\n'),
        ("x = 1  # see app/settings.py, not packages/app/x\n", "x = 1  # see shop/settings.py, not packages/app/x\n"),
        ('é = "ü"; from app import domains\n', 'é = "ü"; from shop import domains\n'),
        ('x = f"{y}app.domains.{z}"\n', 'x = f"{y}app.domains.{z}"\n'.replace("app", "shop")),
        ("from .app import x\nfrom application import y\n", "from .app import x\nfrom application import y\n"),
        ("def test(app):\n    return app.state\n", "def test(app):\n    return app.state\n"),
    ],
)  # fmt: skip
def test_python(before: str, after: str) -> None:
    assert renamed_python(before, "shop") == after


def test_text() -> None:
    text = 'CMD ["python", "-m", "app"]\nservices: app\n`app/domains`, app.settings, /srv/app/x, myapp/x, app.state\n'

    assert renamed_text(text, "shop") == (
        'CMD ["python", "-m", "shop"]\nservices: app\n`shop/domains`, shop.settings, /srv/app/x, myapp/x, app.state\n'
    )
