"""The model package: the folder of plain files that holds one fitted model, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ml_platform.errors import PlatformError
from ml_platform.records.metric import Task
from ml_platform.records.model import FeatureType

FORMAT = 2
_READABLE = (1, 2)
CARD = "model.json"
METRICS = "metrics.json"
SLICES = "slices.json"
TRIALS = "trials.json"
BASELINE = "baseline.json"
INPUT_EXAMPLE = "input_example.json"
PLOTS = "plots"
ORDER = "order.json"
OTHERS = "(other)"
_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_PROTOCOL = 5  # the newest


@dataclass(frozen=True)
class Feature:
    """One input of a model.

    values: for a category, the values known from training, in the order of their codes; empty for a number.
    others: whether a value that is none of them is a category of its own, with the code behind theirs, and not missing.
    """

    name: str
    type: FeatureType
    values: tuple[str, ...] = ()
    others: bool = False

    @property
    def categories(self) -> tuple[str, ...]:
        """What each code stands for."""
        return (*self.values, OTHERS) if self.others else self.values


@dataclass(frozen=True)
class ModelCard:
    """What a package says of itself in `model.json`.

    features: what is asked for, in the order of the encoded columns.
    parameters: as fitted, defaults included.
    splits: split → its `rows` and the mean of its labels as `rate`; for classes their shares, by class.
    classes: of a multiclass task, in the order of a row's probabilities.
    versions: package → version that fitted it. code: digest of the platform's own code that did; empty before it was
    recorded.
    context: whatever the caller wanted kept: pins, asset key, run id.
    """

    task: Task
    estimator: str
    label: str
    features: tuple[Feature, ...]
    parameters: Mapping[str, Any]
    seed: int
    splits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    code: str = ""


def write_json(path: Path, content: object, *, sort_keys: bool = True) -> None:
    """The file holds the content as indented JSON; the same content gives the same bytes.

    sort_keys: False where the order of keys says something.
    """
    text = json.dumps(content, indent=1, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a package's JSON file. Raises PlatformError where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PlatformError(
            f"{path.parent} is no model package, but its {path.name} is needed and missing",
            remedy="Point at a folder that a fit job wrote, or fit the model again",
        ) from error
    except ValueError as error:
        raise PlatformError(
            f"{path} is damaged, but must be JSON ({error})", remedy="Fetch the package again or fit the model again"
        ) from error


def write_card(package: Path, card: ModelCard) -> None:
    """The package's `model.json` holds the card."""
    write_json(package / CARD, {"format": FORMAT, **asdict(card)})


def read_card(package: Path) -> ModelCard:
    """The card of a package. Raises PlatformError for a folder that is none, has a pickle, or is of another format."""
    require_no_pickle(package)
    content = read_json(package / CARD)
    written = content.pop("format", None)
    if written not in _READABLE:
        known = " and ".join(str(number) for number in _READABLE)
        raise PlatformError(
            f"{package / CARD} has format {written}, but this version reads formats {known}",
            remedy="Fit the model again, or use the ml_platform that wrote it",
        )
    features = tuple(feature_of(entry) for entry in content.pop("features"))
    return ModelCard(features=features, classes=tuple(content.pop("classes", ())), **content)


def feature_of(entry: Mapping[str, Any]) -> Feature:
    """The feature that a package's JSON tells of."""
    return Feature(entry["name"], entry["type"], tuple(entry["values"]), entry.get("others", False))


def require_no_pickle(package: Path) -> None:
    """Returns where no file of the package is a pickle, by its name or its first bytes; else raises PlatformError.

    Whoever loads a pickle runs what whoever wrote it wanted.
    """
    for path in sorted(package.rglob("*")):
        if path.is_file() and (path.suffix.lower() in _PICKLES or _is_pickle(path)):
            raise PlatformError(
                f"{path.relative_to(package)} is a pickle, but a model package holds none: loading one runs code",
                remedy="Find out who wrote it; fit the model again",
            )


def _is_pickle(path: Path) -> bool:
    """Whether the file begins as pickles of protocol 2 and later do: the mark, then the number of the protocol."""
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= _PROTOCOL


def digest(package: Path) -> str:
    """SHA-256, hexadecimal, over the relative paths and contents of all files of the package, sorted by path."""
    total = hashlib.sha256()
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.is_file()}
    for name in sorted(files):
        content = hashlib.sha256(files[name].read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def size_bytes(package: Path) -> int:
    """Of all files of the package together."""
    return sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
