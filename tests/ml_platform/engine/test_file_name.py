from __future__ import annotations

import hashlib

from ml_platform.engine.file_name import digest_in, standing_for, total

A, B, C = ("month=2013-01/" + hashlib.sha256(name).hexdigest() + ".parquet" for name in (b"a", b"b", b"c"))


def test_files_stand_for_a_sum_that_has_no_order_and_counts_each() -> None:
    numbers = [int.from_bytes(hashlib.sha256(path.encode()).digest(), "big") for path in (A, B)]
    assert total([A, B]) == total([B, A]) == sum(numbers) % 2**256
    assert total([A, A]) != total([A])
    assert total([]) == 0


def test_a_file_that_took_the_place_of_others_stands_for_them_whatever_comes_and_goes_beside_it() -> None:
    took = standing_for(C, total([A, B]))
    assert total([took]) == total([A, B])
    assert total([took, C]) == total([A, B, C])


def test_a_difference_below_nothing_is_a_number_too() -> None:
    # two files took the place of one
    assert total([B, standing_for(C, total([A]) - total([B]))]) == total([A])


def test_a_name_says_the_digest_of_its_content() -> None:
    digest = hashlib.sha256(b"c").hexdigest()
    assert digest_in(C) == digest
    assert digest_in(standing_for(C, 7)) == digest
    assert standing_for(C, 7) == f"month=2013-01/{digest}.{7:064x}.parquet"


def test_a_file_of_another_writer_has_no_digest_in_its_name() -> None:
    for name in ("part-00000-c7c4e231-6fbe-4942-8835-fb550d5d9d61-c000.snappy.parquet", f"{'A' * 64}.parquet", "x"):
        assert digest_in(name) is None
