"""The contract of a feature store."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from ml_platform.errors import NotFoundError
from ml_platform.records.feature import FeatureRow, FeatureView, LookUp, PublishedView
from ml_platform.roles.feature_store import FeatureStore

START = datetime(2013, 12, 30, tzinfo=UTC)
WEATHER = FeatureView("weather_v1", entity=("origin",), features=("wind", "sky"), ttl_hours=6)
ROUTE = FeatureView("route_v1", entity=("origin", "dest"), features=("delay",), ttl_hours=2)


def rows_of(view: FeatureView, *rows: Sequence[object]) -> list[pa.RecordBatch]:
    """Record batches of one row each; a row gives the entity, event time, known at and features, in that order."""
    names = [*view.entity, view.event_time, view.known_at, *view.features]
    times = (view.event_time, view.known_at)
    kinds = {name: pa.timestamp("us", "UTC") if name in times else None for name in names}
    return [
        pa.RecordBatch.from_arrays([pa.array([v], kinds[n]) for n, v in zip(names, row, strict=True)], names)
        for row in rows
    ]


def at(hours: float) -> datetime:
    """So many hours after the start of the test's data."""
    return START + timedelta(hours=hours)


class FeatureStoreContract:
    """What every feature store keeps. Inherit it and supply `store`."""

    @pytest.fixture
    def store(self) -> FeatureStore:
        """A store in which nothing was published."""
        raise NotImplementedError

    def test_published_rows_are_counted_under_their_version(self, store: FeatureStore) -> None:
        assert store.published(WEATHER) is None
        rows = rows_of(WEATHER, ("JFK", at(0), at(0), 10.0, "clear"), ("LGA", at(0), at(0), None, None))
        assert store.publish(WEATHER, rows, START, "a") == 2
        assert store.published(WEATHER) == PublishedView("a", 2)
        assert store.published(ROUTE) is None

    def test_publishing_replaces_all_rows(self, store: FeatureStore) -> None:
        store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 10.0, "clear")), START, "a")
        store.publish(WEATHER, rows_of(WEATHER, ("LGA", at(0), at(0), 20.0, "rain")), START, "b")
        found = store.look_up(LookUp(WEATHER, [("JFK",), ("LGA",)], [at(1), at(1)]))
        assert [row.values["wind"] for row in found] == [None, 20.0]
        assert store.published(WEATHER) == PublishedView("b", 1)

    def test_publishing_twice_changes_nothing(self, store: FeatureStore) -> None:
        rows = rows_of(WEATHER, ("JFK", at(0), at(0), 10.0, "clear"))
        assert [store.publish(WEATHER, rows, START, "a") for _ in range(2)] == [1, 1]

    def test_failed_publication_leaves_what_stood(self, store: FeatureStore) -> None:
        store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 10.0, "clear")), START, "a")

        def torn() -> Iterator[pa.RecordBatch]:
            yield from rows_of(WEATHER, ("JFK", at(0), at(0), 99.0, "hail"))
            raise ConnectionError

        with pytest.raises(ConnectionError):
            store.publish(WEATHER, torn(), START, "b")
        assert store.published(WEATHER) == PublishedView("a", 1)
        assert store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))[0].values["wind"] == 10.0

    def test_rows_before_keep_from_are_left_out(self, store: FeatureStore) -> None:
        rows = rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a"), ("JFK", at(1), at(1), 2.0, "b"))
        assert store.publish(WEATHER, rows, at(1), "a") == 1
        assert store.look_up(LookUp(WEATHER, [("JFK",)], [at(0.5)])) == [FeatureRow({"wind": None, "sky": None})]

    def test_a_revised_store_equals_one_that_was_filled_anew(self, store: FeatureStore) -> None:
        chance = random.Random(20131231)  # noqa: S311 - a test's data
        rows = [_random_row(chance, number) for number in range(300)]
        store.publish(WEATHER, rows_of(WEATHER, *rows[:200]), START, "a")
        # when a third of the rows is taken out, some are corrected, others come, and less is to be kept
        corrected = [(*row[:3], 1000.0 + number, "new") for number, row in enumerate(rows[40:80])]
        gone, come = rows[:80], [*corrected, *rows[200:]]
        stand = [row for row in [*rows[80:200], *come] if isinstance(row[1], datetime) and row[1] >= at(4)]
        assert store.revise(WEATHER, rows_of(WEATHER, *gone), rows_of(WEATHER, *come), at(4), "b") == len(stand)
        assert store.published(WEATHER) == PublishedView("b", len(stand))
        # then every look-up finds what a scan of the whole finds
        keys = [(chance.choice(["JFK", "LGA", "EWR"]),) for _ in range(300)]
        moments = [at(chance.randrange(0, 60) / 2) for _ in keys]
        found = [row.values["wind"] for row in store.look_up(LookUp(WEATHER, keys, moments))]
        assert found == [_scan(stand, key[0], moment) for key, moment in zip(keys, moments, strict=True)]
        store.publish(WEATHER, rows_of(WEATHER, *stand), at(4), "c")
        assert [row.values["wind"] for row in store.look_up(LookUp(WEATHER, keys, moments))] == found

    def test_a_revision_that_fails_leaves_what_stood(self, store: FeatureStore) -> None:
        old = ("JFK", at(0), at(0), 10.0, "clear")
        store.publish(WEATHER, rows_of(WEATHER, old), START, "a")

        def torn() -> Iterator[pa.RecordBatch]:
            yield from rows_of(WEATHER, ("JFK", at(1), at(1), 99.0, "hail"))
            raise ConnectionError

        with pytest.raises(ConnectionError):
            store.revise(WEATHER, rows_of(WEATHER, old), torn(), START, "b")
        assert store.published(WEATHER) == PublishedView("a", 1)
        assert store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))[0].values["wind"] == 10.0

    def test_a_view_that_was_never_published_cannot_be_revised(self, store: FeatureStore) -> None:
        with pytest.raises(NotFoundError, match="weather_v1"):
            store.revise(WEATHER, [], [], START, "a")

    def test_empty_view_is_published(self, store: FeatureStore) -> None:
        assert store.publish(WEATHER, [], START, "a") == 0
        assert store.published(WEATHER) == PublishedView("a", 0)
        assert store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))[0].event_time is None

    def test_view_that_was_never_published_is_not_found(self, store: FeatureStore) -> None:
        with pytest.raises(NotFoundError, match="weather_v1"):
            store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))
        store.publish(ROUTE, [], START, "a")
        with pytest.raises(NotFoundError, match="weather_v1"):
            store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))

    def test_answer_is_whole_and_in_the_order_of_the_keys(self, store: FeatureStore) -> None:
        rows = rows_of(ROUTE, ("JFK", "LAX", at(0), at(0.5), 7), ("LGA", "LAX", at(0), at(0), float("nan")))
        store.publish(ROUTE, rows, START, "a")
        keys = [("LGA", "LAX"), ("JFK", "SFO"), ("JFK", "LAX")]
        assert store.look_up(LookUp(ROUTE, keys, [at(1)] * 3)) == [
            FeatureRow({"delay": None}, at(0), at(0)),
            FeatureRow({"delay": None}),
            FeatureRow({"delay": 7}, at(0), at(0.5)),
        ]

    def test_ttl_and_known_at_bound_what_is_usable(self, store: FeatureStore) -> None:
        store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(1), 1.0, "a")), START, "a")
        instant = timedelta(microseconds=1)
        moments = [at(1) - instant, at(1), at(6), at(6) + instant]
        found = store.look_up(LookUp(WEATHER, [("JFK",)] * 4, moments))
        assert [row.values["wind"] for row in found] == [None, 1.0, 1.0, None]

    def test_late_correction_is_served_only_once_it_was_known(self, store: FeatureStore) -> None:
        rows = rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "first"), ("JFK", at(0), at(3), 2.0, "corrected"))
        store.publish(WEATHER, rows, START, "a")
        found = store.look_up(LookUp(WEATHER, [("JFK",)] * 2, [at(2), at(4)]))
        assert [row.values["sky"] for row in found] == ["first", "corrected"]

    def test_look_ups_agree_with_a_scan_of_all_rows(self, store: FeatureStore) -> None:
        random_source = random.Random(20131230)  # noqa: S311 - a test's data
        rows = [_random_row(random_source, number) for number in range(400)]
        store.publish(WEATHER, rows_of(WEATHER, *rows), START, "a")
        keys = [(random_source.choice(["JFK", "LGA", "EWR", "unknown"]),) for _ in range(400)]
        moments = [at(random_source.randrange(0, 60) / 2) for _ in keys]
        found = store.look_up(LookUp(WEATHER, keys, moments))
        expected = [_scan(rows, key[0], moment) for key, moment in zip(keys, moments, strict=True)]
        assert [row.values["wind"] for row in found] == expected
        assert None in expected
        assert len(set(expected)) > 50


def _random_row(source: random.Random, number: int) -> tuple[object, ...]:
    """A row on a grid of half hours, so that ties and edges are common; a third of the rows come late."""
    event = source.randrange(0, 48) / 2
    late = source.choice([0, 0, source.randrange(0, 20) / 2])
    # The number makes known_at unique, so that no two rows are equally good.
    return (source.choice(["JFK", "LGA", "EWR"]), at(event), at(event + late - number * 1e-6), float(number), "")


def _scan(rows: Sequence[tuple[object, ...]], origin: str, moment: datetime) -> object:
    usable = [
        (event, known, wind)
        for key, event, known, wind, _ in rows
        if key == origin
        and isinstance(event, datetime)
        and isinstance(known, datetime)
        and known <= moment
        and moment - timedelta(hours=WEATHER.ttl_hours) <= event <= moment
    ]
    return max(usable)[2] if usable else None
