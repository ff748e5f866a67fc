from __future__ import annotations

import pytest

from ml_platform.components.plain_text import require_plain
from ml_platform.components.source_positions import documents
from ml_platform.errors import DeclarationError

AT = "assets/gold/totals/defs.yaml"


def test_a_text_with_braces_of_its_own_is_plain() -> None:
    require_plain(documents("pattern: '[A-Z]{2}'\nwhere: \"a = '%}' and b['x']\"\n", AT), AT)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: '{{ env.SECRET }}'\n", 2),
        ("a:\n  - x\n  - {c: '{% for x in y %}'}\n", 3),
        ('a: "\\x7b\\x7b env.SECRET }}"\n', 1),
        ("a: {'{{ b }}': 1}\n", 1),
        ("a: '{# hidden #}'\n", 1),
        ("a: 1\n---\nb: |\n  {{ c }}\n", 3),
    ],
)
def test_a_template_anywhere_is_refused_by_its_line(text: str, line: int) -> None:
    with pytest.raises(DeclarationError, match=rf"^{AT}:{line}: a text holds .* nothing in it is evaluated"):
        require_plain(documents(text, AT), AT)
