"""The contract of a notifier."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import pytest

from ml_platform.records.notice import Notice
from ml_platform.roles.notifier import Notifier

SECRET = "canary-7f3a"  # noqa: S105 # what no fault may say
NOTICE = Notice("a1", "error", "gate of models/late", "Version 3 was refused.\nRead the check's reasons.")


class NotifierContract:
    """What every notifier keeps. Inherit it and supply `notifier`, `unreachable` and `received`."""

    @pytest.fixture
    @abstractmethod
    def notifier(self) -> Notifier:
        """One whose channels all deliver."""
        raise NotImplementedError

    @pytest.fixture
    @abstractmethod
    def unreachable(self) -> Notifier:
        """One with a channel that does not deliver, and `canary-7f3a` in its address or among its secrets."""
        raise NotImplementedError

    @pytest.fixture
    @abstractmethod
    def received(self) -> Callable[[], Sequence[str]]:
        """What the other ends of `notifier` were sent so far, in order."""
        raise NotImplementedError

    def test_notice_arrives_with_its_subject_and_text(
        self, notifier: Notifier, received: Callable[[], Sequence[str]]
    ) -> None:
        assert all(one.delivered for one in notifier.tell(NOTICE))
        for sent in received():
            assert NOTICE.subject in sent
            assert "Version 3 was refused." in sent

    def test_notice_that_arrived_is_not_sent_again(
        self, notifier: Notifier, received: Callable[[], Sequence[str]]
    ) -> None:
        notifier.tell(NOTICE)
        before = len(received())
        assert all(one.delivered for one in notifier.tell(NOTICE))
        assert len(received()) == before
        notifier.tell(Notice("b2", "info", "another", "Another thing."))
        assert len(received()) == 2 * before

    def test_channel_that_does_not_deliver_raises_nothing_and_says_why_without_its_secrets(
        self, unreachable: Notifier
    ) -> None:
        failed = [one for one in unreachable.tell(NOTICE) if not one.delivered]
        assert failed
        for one in failed:
            assert one.fault
            assert SECRET not in one.fault

    def test_what_did_not_arrive_is_tried_again_when_told_again(self, unreachable: Notifier) -> None:
        unreachable.tell(NOTICE)
        assert [one for one in unreachable.tell(NOTICE) if not one.delivered]
