"""The pictures: small, unchanged where nothing looks different, and there where the documents show them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from crmsync.settings import BASE_DIR
from tests.screenshots.take import keep

pytestmark = pytest.mark.once
FOLDER, MOST = BASE_DIR / "docs" / "screenshots", 4_500_000


def drawn(*spots: tuple[int, int]) -> bytes:
    """A page with a white card on a ground that is nearly white, and a few amber pixels."""
    picture = Image.new("RGB", (200, 100), (245, 246, 249))
    picture.paste((255, 255, 255), (20, 20, 180, 80))
    for spot in spots:
        picture.putpixel(spot, (224, 154, 38))
    raw = io.BytesIO()
    picture.save(raw, "PNG")
    return raw.getvalue()


def test_a_picture_is_written_again_only_where_it_looks_different(tmp_path: Path):
    path = tmp_path / "page-1280-light.png"
    few = [(x, 50) for x in range(30, 60)]
    assert keep(drawn(), path)
    assert not keep(drawn(*few), path)
    assert keep(drawn(*((x, y) for x in range(30, 60) for y in (50, 51))), path)
    held = Image.open(path).convert("RGB")
    assert [held.getpixel(spot) for spot in ((0, 0), (100, 30), (30, 50))] == [
        (245, 246, 249), (255, 255, 255), (224, 154, 38),
    ]  # fmt: skip


@pytest.mark.parametrize("page", ["README.md", "docs/pages.md"])
def test_every_picture_that_a_document_shows_is_there_in_both_themes(page: str):
    text = (BASE_DIR / page).read_text()
    shown = re.findall(r'(?:src|srcset)="([^"]+\.png)"', text)
    assert len(shown) >= 4
    for name in shown:
        path = (BASE_DIR / page).parent / name
        assert path.is_file(), name
        other = {"light": "dark", "dark": "light"}
        theme = path.stem.rpartition("-")[2]
        assert path.with_name(path.name.replace(theme, other[theme])).is_file(), name


def test_all_pictures_together_stay_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < MOST
