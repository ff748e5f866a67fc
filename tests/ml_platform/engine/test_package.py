from __future__ import annotations

import shutil

import pytest

from ml_platform.engine.package import Feature, ModelCard, digest, read_card, size_bytes, write_card
from ml_platform.errors import PlatformError

CARD = ModelCard(
    task="binary",
    estimator="baseline",
    label="late",
    features=(Feature("wind", "number"), Feature("carrier", "category", ("AA", "Ü"))),
    parameters={},
    seed=1,
    context={"pin": "gold/late@3"},
)


def test_card_is_read_as_it_was_written(tmp_path):
    write_card(tmp_path, CARD)
    assert read_card(tmp_path) == CARD


def test_folder_without_a_card_is_no_package(tmp_path):
    with pytest.raises(PlatformError, match=r"is no model package, but its model\.json is needed"):
        read_card(tmp_path)


def test_damaged_card_is_an_error(tmp_path):
    write_card(tmp_path, CARD)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text[:40])
    with pytest.raises(PlatformError, match="is damaged, but must be JSON"):
        read_card(tmp_path)


def test_card_of_another_format_is_refused(tmp_path):
    (tmp_path / "model.json").write_text('{"format": 3}')
    with pytest.raises(PlatformError, match="has format 3, but this version reads formats 1 and 2"):
        read_card(tmp_path)


def test_digest_follows_contents_and_relative_paths_only(tmp_path):
    one = tmp_path / "one"
    (one / "plots").mkdir(parents=True)
    (one / "plots" / "roc.png").write_bytes(b"roc")
    write_card(one, CARD)
    shutil.copytree(one, tmp_path / "two")
    assert digest(one) == digest(tmp_path / "two")
    (tmp_path / "two" / "plots" / "roc.png").rename(tmp_path / "two" / "roc.png")
    assert digest(one) != digest(tmp_path / "two")
    (one / "plots" / "roc.png").write_bytes(b"cor")
    assert digest(one) != digest(tmp_path / "two")
    assert len(digest(one)) == 64


def test_the_size_is_that_of_all_files(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "model.json").write_text("12345")
    (tmp_path / "plots" / "roc.png").write_bytes(b"123")
    assert size_bytes(tmp_path) == 8
