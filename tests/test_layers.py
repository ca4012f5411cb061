"""The picture in docs/architecture.md, held true: imports, foreign keys and migrations point down."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.apps import apps
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ("contacts", "integrations", "mappings", "sync", "activity", "crmsync")  # from the ground up
LEVEL = {app: level for level, app in enumerate(HOUSE)}
PURE = (
    "contacts/csv_cells.py",
    "contacts/csv_reading.py",
    "contacts/import_rows.py",
    "contacts/phone.py",
    "contacts/values.py",
    "mappings/cell.py",
    "mappings/compatibility.py",
    "mappings/field_rule.py",
    "mappings/pairs.py",
    "mappings/rules.py",
    "mappings/transforms.py",
    "integrations/providers/base.py",
    "integrations/providers/errors.py",
)
SDK_HOMES = {
    "simple_salesforce": "integrations/providers/salesforce.py",
    "hubspot": "integrations/providers/hubspot.py",
    "openai": "mappings/merge.py",
}
# Hears of every saved setting from above, so that none goes unrecorded; decides nothing. See docs/adr/0008.
LISTENER = "crmsync/config_watch.py"
DJANGO_WORLD = ("django", "django_q", "rest_framework", "drf_spectacular", "csp", "whitenoise")


class Import(NamedTuple):
    """One imported module, and whether the import stands inside a function."""

    module: str
    line: int
    nested: bool


def imports(tree: ast.AST, package: str, nested: bool = False) -> Iterator[Import]:
    """Every import of a file; `from . import x` is resolved against `package` (dotted)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, nested) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno, nested) for alias in node.names)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, package, nested or inside)


def violations(files: dict[str, str]) -> list[str]:
    """What breaks the picture, in words; `files` maps paths relative to the project to their text."""
    found = []
    for path, text in sorted(files.items()):
        tree = ast.parse(text)
        problems = (
            (one.line, objection(path, one)) for one in imports(tree, ".".join(Path(path).parent.parts))
        )
        found += [f"{path}:{line} {problem}" for line, problem in problems if problem]
        found += [f"{path}:{line} listens to a signal of our own apps" for line in own_signals(path, tree)]
    return found


def objection(path: str, one: Import) -> str | None:
    """Why this file may not have this import, or None."""
    home, target = Path(path).parts[0], one.module.split(".")[0]
    if home == "sandbox" and target in LEVEL:
        return f"the sandbox imports {one.module}"
    if home in LEVEL and target == "sandbox":
        return f"an app imports the sandbox ({one.module})"
    if home in LEVEL and target in LEVEL and LEVEL[target] > LEVEL[home]:
        return f"imports upward: {one.module}"
    if target in SDK_HOMES and home in LEVEL and path != SDK_HOMES[target]:
        return f"imports a vendor's library outside {SDK_HOMES[target]}: {one.module}"
    if path in PURE:
        return impurity(one, target)
    if one.nested and home in LEVEL and target in LEVEL and target == home and not path.endswith("apps.py"):
        return f"imports its own app inside a function, which hides a cycle: {one.module}"
    return None


def impurity(one: Import, target: str) -> str | None:
    """A pure leaf knows no Django, and of our apps only other pure leaves."""
    if target in DJANGO_WORLD:
        return f"is a pure leaf but imports {one.module}"
    leaves = tuple(leaf.removesuffix(".py").replace("/", ".") for leaf in PURE)
    if target in LEVEL and not any(
        f"{one.module}.".startswith(f"{leaf}.") or leaf == one.module for leaf in leaves
    ):
        return f"is a pure leaf but imports {one.module}"
    return None


def own_signals(path: str, tree: ast.AST) -> Iterator[int]:
    """Lines that make a signal, or listen to saves and deletions: apps call each other, downwards."""
    if Path(path).parts[0] not in LEVEL or path == LISTENER:
        return
    names = {"Signal", "receiver", "pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("django.dispatch", "django.db.models.sig")
        ):
            yield from (node.lineno for alias in node.names if alias.name in names)


def project_files() -> dict[str, str]:
    """Our own source, without migrations and tests."""
    paths = [path for top in (*HOUSE, "sandbox") for path in (ROOT / top).rglob("*.py")]
    return {str(p.relative_to(ROOT)): p.read_text() for p in paths if "migrations" not in p.parts}


def test_imports_point_down_and_leaves_stay_pure() -> None:
    assert violations(project_files()) == []


def test_foreign_keys_point_down() -> None:
    upward = [
        f"{model.__name__}.{field.name} → {field.related_model.__name__}"
        for app in HOUSE
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if field.concrete and field.is_relation and isinstance(field.related_model, type)
        if LEVEL.get(field.related_model._meta.app_label, -1) > LEVEL[app]
    ]
    assert upward == []


def test_migrations_depend_downwards() -> None:
    graph = MigrationLoader(None).graph
    upward = [
        f"{app}.{name} → {parent.key}"
        for app, name in graph.nodes
        if app in LEVEL
        for parent in graph.node_map[app, name].parents
        if LEVEL.get(parent.key[0], -1) > LEVEL[app]
    ]
    assert upward == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("contacts/models.py", "from sync.models import SyncRun"),
        ("contacts/models.py", "def late():\n    import activity.models"),
        ("sync/pull.py", "import crmsync.settings"),
        ("contacts/phone.py", "from django.conf import settings"),
        ("contacts/values.py", "from contacts.models import Contact"),
        ("mappings/rules.py", "from . import models"),
        ("integrations/providers/base.py", "def f():\n    from django.db import connection"),
        ("sync/pull.py", "from hubspot import HubSpot"),
        ("integrations/providers/hubspot.py", "import simple_salesforce"),
        ("mappings/models.py", "def f():\n    import openai"),
        ("sandbox/server.py", "from contacts import phone"),
        ("crmsync/demo.py", "from sandbox.world import World"),
        ("sync/models.py", "from django.db.models.signals import post_save"),
        ("sync/models.py", "from django.dispatch import Signal"),
        ("sync/pull.py", "def f():\n    from sync import push"),
    ],
)
def test_a_planted_violation_is_found(path: str, text: str) -> None:
    assert len(violations({path: text})) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("crmsync/api/views.py", "from contacts.models import Contact\nfrom sync import push"),
        ("mappings/merge.py", "def ask():\n    import openai"),
        (
            "integrations/providers/salesforce.py",
            "def connect():\n    from simple_salesforce import Salesforce",
        ),
        ("mappings/rules.py", "from contacts.values import coerce"),
        ("integrations/providers/base.py", "from .errors import ProviderError"),
        ("sandbox/hubspot/api.py", "from sandbox.wire import Request"),
        ("contacts/apps.py", "def ready():\n    from contacts import checks"),
    ],
)
def test_what_the_picture_allows_is_not_reported(path: str, text: str) -> None:
    assert violations({path: text}) == []
