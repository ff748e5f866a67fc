"""The model card: what a package is, in Markdown, written from what was measured and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_platform.engine.package import Feature, ModelCard
from ml_platform.records.metric import HIGHER_IS_BETTER, Metric, loss_of

FILE = "model_card.md"
_LEADING = 10
_WORST = 5
_SAYS = {
    "binary": "the probability that {label} is true",
    "multiclass": "the probability of each class of {label}: {classes}",
    "regression": "the value of {label}",
}


def written(
    card: ModelCard,
    metrics: Mapping[str, Any],
    slices: Sequence[Mapping[str, Any]],
    permutation: Mapping[str, float],
    notes: Sequence[str],
) -> str:
    """The card's text.

    metrics: split → metric → value, the simpler model's below `baseline`. slices, permutation: as Evidence has them.
    notes: what else has to be known, a sentence each.
    """
    loss: Metric = next(iter(metrics["test"])) if loss_of(card.task) not in metrics["test"] else loss_of(card.task)
    parts = [
        f"# {card.context.get('model', 'A model')}",
        _what(card),
        "## Learned from",
        _learned_from(card),
        "## Quality",
        _quality(metrics),
        *(["## Where it is weakest", _weakest(slices, loss)] if slices else []),
        "## What it looks at",
        _looks_at(permutation),
        "## Features",
        _features(card.features),
        "## To know",
        "\n".join(f"- {note}" for note in [*notes, *_always(card)]),
        "## Parameters and versions",
        _table(("parameter", "value"), [*card.parameters.items(), ("seed", card.seed)]),
        _table(("package", "version"), list(card.versions.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _what(card: ModelCard) -> str:
    says = _SAYS[card.task].format(label=card.label, classes=", ".join(card.classes))
    return f"A {card.task} model by the estimator {card.estimator}. It says {says}."


def _learned_from(card: ModelCard) -> str:
    source = card.context.get("training_set", "a training set")
    pin = str(card.context.get("training_set_fingerprint", ""))[:12]
    told = f"{source}, content {pin}." if pin else f"{source}."
    rows = [(name, f"{split['rows']:,}", _mean(split["rate"])) for name, split in card.splits.items()]
    return f"{told}\n\n{_table(('split', 'rows', f'{card.label}, on the whole'), rows)}"


def _mean(rate: Any) -> str:
    if isinstance(rate, Mapping):
        return ", ".join(f"{name} {share:.1%}" for name, share in rate.items())
    return f"{rate:.4g}"


def _quality(metrics: Mapping[str, Any]) -> str:
    names = list(metrics["test"])
    baseline = metrics["baseline"]["test"]
    rows = [
        (
            name,
            "higher" if HIGHER_IS_BETTER[name] else "lower",
            *(f"{metrics[split][name]:.4f}" for split in ("train", "validate", "test")),
            f"{baseline[name]:.4f}",
        )
        for name in names
    ]
    return _table(("metric", "better is", "train", "validate", "test", "baseline, test"), rows)


def _weakest(slices: Sequence[Mapping[str, Any]], loss: Metric) -> str:
    told = [row for row in slices if row.get(loss) is not None]
    sign = -1 if HIGHER_IS_BETTER[loss] else 1
    worst = sorted(told, key=lambda row: sign * row[loss], reverse=True)[:_WORST]
    rows = [(f"{row['column']}: {row['value']}", f"{row['rows']:,}", f"{row[loss]:.4f}") for row in worst]
    return _table(("slice of the test split", "rows", loss), rows)


def _looks_at(permutation: Mapping[str, float]) -> str:
    leading = sorted(permutation.items(), key=lambda item: item[1], reverse=True)[:_LEADING]
    return _table(("feature", "rise of the loss where it is dealt anew"), [(n, f"{rise:.5f}") for n, rise in leading])


def _features(features: Sequence[Feature]) -> str:
    return _table(("feature", "type"), [(feature.name, _kind(feature)) for feature in features])


def _kind(feature: Feature) -> str:
    if feature.type == "number":
        return "number"
    unknown = "an unknown one is one of the others" if feature.others else "an unknown one counts as missing"
    return f"category, {len(feature.values)} values; {unknown}"


def _always(card: ModelCard) -> list[str]:
    return [
        "A missing or infinite number counts as missing, in training rows an infinite one is refused.",
        f"Quality is that of its own splits in time; what has changed since, it does not know. Seed {card.seed}.",
    ]


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
