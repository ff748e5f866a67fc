"""docs/notebook.ipynb, executed in place on what `make run` made; needs nbclient and a kernel of our own."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).parent / "notebook.ipynb"


def main() -> None:
    """The notebook holds the outputs of its cells, and nothing of when or where they were made."""
    notebook = nbformat.read(PATH, as_version=4)
    pictures = ["--InteractiveShellApp.matplotlib=inline"]
    NotebookClient(notebook, timeout=300, record_timing=False, extra_arguments=pictures).execute()
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
    nbformat.write(notebook, PATH)


if __name__ == "__main__":
    main()
