from __future__ import annotations

from types import SimpleNamespace

import pytest

from ml_platform.components.lines import line_of

TEXT = """\
type: x

attributes:
  gate:
    floors: {roc_auc: 0.5,
             log_loss: 0.7}
  slices:
    - carrier
    - origin
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("gate",), 4),
        (("gate", "floors", "log_loss"), 6),
        (("slices", 1), 9),
        # what is not there is told by what it would stand in
        (("slices", 7), 7),
        (("gate", "metric"), 4),
        (("seed",), 3),
    ],
)
def test_line_is_that_of_the_field_or_of_what_it_would_stand_in(tmp_path, path, line):
    folder = tmp_path / "assets" / "models" / "late"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(TEXT)
    context = SimpleNamespace(path=folder, defs_module_path=tmp_path / "assets")
    assert line_of(context, *path) == f"assets/models/late/defs.yaml:{line}"
