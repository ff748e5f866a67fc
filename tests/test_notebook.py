"""The notebook and the README's Python, executed on the flights graph: what they show is what they print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from flights import ROOT, Flights

NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
MARK = "—" * 8


def printed(flights: Flights, *programs: str) -> list[str]:
    """What each of the programs prints, run one after the other in one process."""
    whole = f"\nprint({MARK!r})\n".join(programs)
    done = subprocess.run(
        [sys.executable, "-c", whole], cwd=ROOT, env=flights.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"{MARK}\n")


def printed_in(output: dict[str, Any]) -> list[str]:
    assert output.get("name") != "stderr", output
    return output["text"] if output["output_type"] == "stream" else []


def test_the_notebook_shows_what_its_cells_print(flights: Flights) -> None:
    shown = ["".join(text for out in cell["outputs"] for text in printed_in(out)) for cell in CODE]

    assert printed(flights, *("".join(cell["source"]) for cell in CODE)) == shown
    assert sum(map(bool, shown)) >= 4
    assert ["image/png" in out["data"] for out in CODE[-1]["outputs"]] == [True]


def test_the_readme_s_python_runs_as_shown(flights: Flights) -> None:
    (program,) = re.findall(r"^```python\n(from .*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)

    (rows,) = printed(flights, f"{program}\nprint(flights.height, len(answers), answers.between(0, 1).all())")

    assert rows.split() == ["58665", "5", "True"]
