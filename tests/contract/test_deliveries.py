"""The Deliveries port, on every adapter, and how deliveries are stored."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from application.ports.deliveries import Claim, DeliveryFilter, Outcome
from application.ports.retention import Keep, Keeping
from domain.deliveries import Attempt, Delivery, Result, Status
from domain.preferences import Preferences
from tests.support.core import NOW
from tests.support.stores import Stores, later, order, record

KIM, LEE = "kim@example.com", "lee@example.com"

# In seconds. Longer than a test needs while it holds a lease, also on a busy machine.
LEASE = 60.0


def attempt(result: Result = "sent", text: str = "2.0.0 Ok: queued", code: int | None = 250) -> Attempt:
    return Attempt(NOW, 0.25, result, code, text)


def sent(claim: Claim) -> Outcome:
    return Outcome(claim, attempt(), "sent")


def failed(claim: Claim, text: str = "no such user") -> Outcome:
    return Outcome(claim, attempt("refused", text, 550), "failed", text)


def deferred(claim: Claim, seconds: float = 0, *, counts: bool = True, peer: str | None = None) -> Outcome:
    result: Result = "server" if peer else "deferred"
    return Outcome(claim, attempt(result, "later", 450), "pending", "later", seconds, counts, peer)


async def claim(stores: Stores, limit: int = 10) -> tuple[Claim, ...]:
    return await stores.deliveries.claim("email", limit, LEASE)


async def series(stores: Stores, count: int) -> None:
    """Store deliveries: e1 to a1@example.com at NOW + 1 s, e2 to a2@example.com at NOW + 2 s and so on."""
    for number in range(1, count + 1):
        event = order(f"e{number}", f"a{number}@example.com", order_id=f"o-{number}")
        await record(stores.store, event, at=later(number))


def addresses(some: Sequence[Claim] | Sequence[Delivery]) -> list[str]:
    return [(one.delivery if isinstance(one, Claim) else one).destination for one in some]


async def all_of(stores: Stores) -> tuple[Delivery, ...]:
    return await stores.deliveries.newest(1_000)


# --- from the event to the delivery ---------------------------------------------------------------------------


async def test_a_mail_becomes_one_delivery_for_each_address(stores: Stores) -> None:
    recorded = await record(stores.store, order("e", KIM, LEE, KIM))
    assert addresses(recorded.deliveries) == [KIM, LEE]
    assert {one.status for one in recorded.deliveries} == {"pending"}
    kept = await all_of(stores)
    assert kept == recorded.deliveries[::-1]
    mail = kept[0].item
    assert (mail.origin, mail.event_id, mail.source, mail.type) == ("order", "e", "order", "order")
    assert (mail.subject, mail.template, mail.reference) == ("Order o-1", "order_created.html", "o-1")
    assert mail.url == "/orders/o-1"
    assert '"order_id":"o-1"' in mail.payload.replace(" ", "")
    assert mail.time == NOW
    one = await stores.deliveries.get(kept[0].id)
    assert one == kept[0]
    assert (one.attempts, one.counted_attempts, one.sent_at, one.created_at) == (0, 0, None, NOW)


async def test_a_duplicate_event_makes_no_new_delivery(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    again = await record(stores.store, order("e", KIM), order("e", KIM, LEE), order("e", KIM))
    assert addresses(again.deliveries) == [LEE]
    assert addresses(await all_of(stores)) == [LEE, KIM]
    assert (await record(stores.store, order("e", KIM))).duplicates == 1


async def test_two_nodes_that_store_the_same_event_make_one_delivery(stores: Stores) -> None:
    events = [order(f"e{number}", KIM, LEE) for number in range(10)]
    both = await asyncio.gather(
        *(record(stores.store, *events) for _ in range(4)), *(record(stores.store, *events[::-1]) for _ in range(4))
    )
    assert sum(len(one.deliveries) for one in both) == 20 == len(await all_of(stores))


@pytest.mark.parametrize(
    ("address", "why"),
    [("a@b\r\nBcc: c@d.e", "before the @"), ("nobody", "no text before the @")],
)
async def test_an_unusable_address_makes_a_failed_delivery_with_the_reason(
    stores: Stores, address: str, why: str
) -> None:
    recorded = await record(stores.store, order("e", address))
    (one,) = recorded.deliveries
    assert one.status == "failed"
    assert why in (one.error or "")
    assert recorded.entries  # the broadcast of the same event is stored
    assert await claim(stores) == ()


async def test_deliveries_are_skipped_where_preferences_exclude_mail(stores: Stores) -> None:
    for user, wish in (
        ("no", Preferences(email_notifications=False)),
        ("muted", Preferences(muted_types=("news", "order"))),
        ("other", Preferences(websocket_notifications=False, muted_types=("news",))),
    ):
        await stores.preferences.put(user, wish, NOW)
    events = [order(user, KIM, user=user) for user in ("no", "muted", "other", "new")]
    recorded = await record(stores.store, *events, order("nobody", KIM))
    assert [(one.item.event_id, one.status) for one in recorded.deliveries] == [
        ("no", "skipped"),
        ("muted", "skipped"),
        ("other", "pending"),
        ("new", "pending"),
        ("nobody", "pending"),
    ]
    reasons = [one.error for one in recorded.deliveries]
    assert reasons == ["no has switched off e-mail", "muted has muted order", None, None, None]
    assert [one.delivery.item.event_id for one in await claim(stores)] == ["other", "new", "nobody"]


# --- claiming -------------------------------------------------------------------------------------------------


async def test_due_deliveries_are_claimed_once_and_the_longest_due_first(stores: Stores) -> None:
    await series(stores, 5)
    assert addresses(await claim(stores, 2)) == ["a1@example.com", "a2@example.com"]
    assert addresses(await claim(stores)) == ["a3@example.com", "a4@example.com", "a5@example.com"]
    assert await claim(stores) == ()
    assert {one.status for one in await all_of(stores)} == {"pending"}


async def test_concurrent_claims_are_disjoint(stores: Stores) -> None:
    await record(stores.store, *(order(f"e{number}", KIM) for number in range(60)))
    claimed: list[UUID] = []

    async def work() -> None:
        while some := await claim(stores, 4):
            claimed.extend(one.delivery.id for one in some)
            assert await stores.deliveries.record_outcomes([sent(one) for one in some]) == len(some)

    await asyncio.gather(*(work() for _ in range(8)))
    assert len(claimed) == len(set(claimed)) == 60
    assert await stores.deliveries.count(DeliveryFilter(status="sent")) == 60


async def test_an_outcome_is_ignored_after_another_claim_replaced_the_expired_lease(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    (old,) = await stores.deliveries.claim("email", 1, 0.05)
    await asyncio.sleep(0.1)
    (new,) = await claim(stores)
    assert await stores.deliveries.record_outcomes([failed(old)]) == 0
    assert await stores.deliveries.attempts(old.delivery.id) == ()
    assert await stores.deliveries.record_outcomes([sent(new)]) == 1
    assert await stores.deliveries.record_outcomes([sent(new)]) == 0
    (one,) = await all_of(stores)
    assert (one.status, one.attempts) == ("sent", 1)


async def test_outcomes_of_an_expired_and_a_current_lease_may_be_recorded_together(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    (old,) = await stores.deliveries.claim("email", 1, 0.05)
    await asyncio.sleep(0.1)
    (new,) = await claim(stores)
    assert await stores.deliveries.record_outcomes([failed(old), sent(new)]) == 1
    (one,) = await all_of(stores)
    assert (one.status, one.attempts) == ("sent", 1)
    assert [attempt.result for attempt in await stores.deliveries.attempts(one.id)] == ["sent"]


async def test_an_outcome_of_an_expired_lease_counts_while_nobody_claimed_again(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    (late,) = await stores.deliveries.claim("email", 1, 0.01)
    await asyncio.sleep(0.05)
    assert await stores.deliveries.record_outcomes([sent(late)]) == 1
    assert await claim(stores) == ()


async def test_every_attempt_is_recorded(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    tried = [
        Attempt(later(1), 30.0, "deferred", None, "no answer within 30 s"),
        Attempt(later(2), 0.5, "server", 554, "5.7.1 ünwelcome"),
        Attempt(later(3), 0.001, "sent", 250, ""),
    ]
    statuses: list[Status] = ["pending", "pending", "sent"]
    for one, status in zip(tried, statuses, strict=True):
        (mine,) = await claim(stores)
        outcome = Outcome(mine, one, status, one.text or None, counts=one.result != "server")
        assert await stores.deliveries.record_outcomes([outcome]) == 1
    (kept,) = await all_of(stores)
    assert await stores.deliveries.attempts(kept.id) == tuple(tried)
    assert (kept.status, kept.attempts, kept.counted_attempts, kept.error) == ("sent", 3, 2, None)
    assert kept.sent_at is not None
    assert abs(kept.sent_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert kept.updated_at == kept.sent_at


async def test_several_outcomes_are_recorded_together(stores: Stores) -> None:
    await series(stores, 4)
    one, two, three, four = await claim(stores)
    lost = replace(four, lease=uuid4())
    outcomes = [sent(one), failed(two), deferred(three, 3_600), sent(lost)]
    assert await stores.deliveries.record_outcomes(outcomes) == 3
    found = {delivery.destination: delivery for delivery in await all_of(stores)}
    assert [found[f"a{number}@example.com"].status for number in range(1, 5)] == [
        "sent",
        "failed",
        "pending",
        "pending",
    ]
    assert found["a2@example.com"].error == "no such user"
    assert found["a4@example.com"].attempts == 0
    assert await stores.deliveries.record_outcomes([]) == 0


async def test_a_deferred_delivery_is_due_again_after_its_delay(stores: Stores) -> None:
    await record(stores.store, order("soon", KIM), order("late", KIM))
    soon, late = await claim(stores)
    await stores.deliveries.record_outcomes([deferred(soon, 0.05), deferred(late, 3_600)])
    (kept, _) = await all_of(stores)
    assert timedelta(minutes=59) < kept.due_at - datetime.now(UTC) < timedelta(minutes=61)
    await asyncio.sleep(0.1)
    (again,) = await claim(stores)
    assert again.delivery.item.event_id == "soon"
    assert (again.delivery.attempts, again.delivery.counted_attempts, again.delivery.error) == (1, 1, "later")


async def test_released_claims_are_due_immediately(stores: Stores) -> None:
    await series(stores, 3)
    claims = (*await claim(stores, 1), *await claim(stores, 2))
    await stores.deliveries.record_outcomes([sent(claims[0])])
    await stores.deliveries.release(claims)
    await stores.deliveries.release([])
    again = await claim(stores)
    assert sorted(addresses(again)) == ["a2@example.com", "a3@example.com"]
    assert all(one.delivery.attempts == 0 for one in again)
    assert await stores.deliveries.record_outcomes([sent(claims[1])]) == 0


async def test_wake_deferred_makes_deliveries_that_wait_for_the_server_due(stores: Stores) -> None:
    await series(stores, 3)
    one, two, three = await claim(stores)
    outcomes = [deferred(one, 3_600, peer="post:25", counts=False), deferred(two, 3_600), sent(three)]
    await stores.deliveries.record_outcomes(outcomes)
    assert await claim(stores) == ()
    assert await stores.deliveries.wake_deferred("email") == 1
    (again,) = await claim(stores)
    assert (again.delivery.destination, again.delivery.counted_attempts) == ("a1@example.com", 0)
    assert await stores.deliveries.wake_deferred("email") == 0


# --- left to other nodes ---------------------------------------------------------------------------------------


async def test_a_delivery_left_to_other_nodes_is_due_and_keeps_unrendered_since(stores: Stores) -> None:
    await series(stores, 2)
    first, second = await claim(stores)
    await stores.deliveries.leave_to_others([first], "no template")
    assert (await claim(stores, 10)) != ()
    (again,) = [one for one in await all_of(stores) if one.id == first.delivery.id]
    since = again.unrendered_since
    assert since is not None
    # Another claim leases it now, so the first claim changes nothing any more.
    await stores.deliveries.leave_to_others([first], "no template")
    (mine,) = [one for one in await all_of(stores) if one.id == first.delivery.id]
    assert (mine.unrendered_since, mine.due_at) == (since, again.due_at)
    (other,) = [one for one in await all_of(stores) if one.id == second.delivery.id]
    assert other.unrendered_since is None


async def test_an_attempt_or_a_retry_clears_unrendered_since(stores: Stores) -> None:
    await series(stores, 1)
    for ends in (deferred, failed):
        (mine,) = await claim(stores)
        await stores.deliveries.leave_to_others([mine], "no template")
        (again,) = await claim(stores)
        assert again.delivery.unrendered_since is not None
        await stores.deliveries.record_outcomes([ends(again)])
        assert (await all_of(stores))[0].unrendered_since is None
    await stores.deliveries.retry(again.delivery.id)
    assert (await all_of(stores))[0].unrendered_since is None


async def test_clear_unrendered_applies_to_the_given_templates(stores: Stores) -> None:
    await series(stores, 2)
    await stores.deliveries.leave_to_others(await claim(stores), "no template")
    template = (await all_of(stores))[0].item.template
    assert {one.error for one in await all_of(stores)} == {"no template"}
    assert await stores.deliveries.clear_unrendered("email", ["other.html"]) == 0
    assert await stores.deliveries.clear_unrendered("email", []) == 0
    assert await stores.deliveries.clear_unrendered("email", [template, "other.html"]) == 2
    assert await stores.deliveries.clear_unrendered("email", [template]) == 0
    assert {one.unrendered_since for one in await all_of(stores)} == {None}


async def test_a_claim_excludes_the_given_templates(stores: Stores) -> None:
    await series(stores, 2)
    template = (await all_of(stores))[0].item.template
    assert await stores.deliveries.claim("email", 10, LEASE, {template, "other.html"}) == ()
    assert len(await stores.deliveries.claim("email", 10, LEASE, {"other.html"})) == 2


# --- retries --------------------------------------------------------------------------------------------------


async def test_of_concurrent_retries_of_a_failed_delivery_exactly_one_succeeds(stores: Stores) -> None:
    await record(stores.store, order("e", KIM))
    (mine,) = await claim(stores)
    await stores.deliveries.record_outcomes([failed(mine)])
    before = await asyncio.gather(*(stores.deliveries.retry(mine.delivery.id) for _ in range(8)))
    assert sorted(one.status for one in before if one is not None) == ["failed", *["pending"] * 7]
    (again,) = await claim(stores)
    assert (again.delivery.attempts, again.delivery.counted_attempts) == (1, 0)
    await stores.deliveries.record_outcomes([sent(again)])
    ended = await stores.deliveries.retry(mine.delivery.id)
    assert ended is not None
    assert (ended.status, ended.retryable) == ("sent", False)
    assert [one.result for one in await stores.deliveries.attempts(mine.delivery.id)] == ["refused", "sent"]


async def test_a_delivery_without_an_address_is_skipped_and_can_be_retried(stores: Stores) -> None:
    (one,) = (await record(stores.store, order("e", ""))).deliveries
    assert (one.status, one.error) == ("skipped", "no_address")
    assert await claim(stores) == ()
    before = await stores.deliveries.retry(one.id)
    assert before is not None
    assert before.retryable
    (mine,) = await claim(stores)
    assert mine.delivery.destination == ""


async def test_a_delivery_skipped_by_preference_is_not_retried(stores: Stores) -> None:
    await stores.preferences.put("kim", Preferences(email_notifications=False), NOW)
    (one,) = (await record(stores.store, order("e", KIM, user="kim"))).deliveries
    before = await stores.deliveries.retry(one.id)
    assert before is not None
    assert (before.status, before.retryable) == ("skipped", False)
    assert await claim(stores) == ()


async def test_retrying_an_unknown_delivery_has_no_effect(stores: Stores) -> None:
    assert await stores.deliveries.retry(uuid4()) is None
    assert await stores.deliveries.get(uuid4()) is None
    assert await stores.deliveries.attempts(uuid4()) == ()


# --- listing --------------------------------------------------------------------------------------------------


async def test_deliveries_are_listed_newest_first_by_page(stores: Stores) -> None:
    await series(stores, 5)
    deliveries = stores.deliveries
    first = await deliveries.newest(2)
    assert addresses(first) == ["a5@example.com", "a4@example.com"]
    assert addresses(await deliveries.newest(2, before=first[-1].id)) == ["a3@example.com", "a2@example.com"]
    assert addresses(await deliveries.newest(10, offset=3)) == ["a2@example.com", "a1@example.com"]
    assert await deliveries.newest(10, offset=5) == ()
    assert await deliveries.count(DeliveryFilter()) == 5


async def test_deliveries_are_filtered_by_recipient_status_and_order(stores: Stores) -> None:
    await series(stores, 3)
    (first, *_) = await claim(stores, 1)
    await stores.deliveries.record_outcomes([sent(first)])
    for choice, found in (
        (DeliveryFilter(recipient="a2@example.com"), ["a2@example.com"]),
        (DeliveryFilter(status="sent"), ["a1@example.com"]),
        (DeliveryFilter(status="pending"), ["a3@example.com", "a2@example.com"]),
        (DeliveryFilter(reference="o-3"), ["a3@example.com"]),
        (DeliveryFilter(status="sent", reference="o-3"), []),
        (DeliveryFilter(recipient="a@example.com"), []),
        (DeliveryFilter(event_id="e2"), ["a2@example.com"]),
        (DeliveryFilter(since=later(2)), ["a3@example.com", "a2@example.com"]),
        (DeliveryFilter(user="kim"), []),
    ):
        assert addresses(await stores.deliveries.newest(10, choice)) == found
        assert await stores.deliveries.count(choice) == len(found)


async def test_deliveries_are_filtered_by_user(stores: Stores) -> None:
    await record(stores.store, order("e1", KIM, user="kim"), order("e2", KIM))
    assert [one.item.event_id for one in await stores.deliveries.newest(10, DeliveryFilter(user="kim"))] == ["e1"]


async def test_failed_deliveries_are_filtered_by_failure(stores: Stores) -> None:
    await series(stores, 4)
    await record(stores.store, order("bad", "no address"))  # fails without an attempt
    refused, given_up, delivered, _ = await claim(stores)
    gone = Outcome(given_up, attempt("deferred", "later", 450), "failed", "given up after 3 attempts: 450 later")
    await stores.deliveries.record_outcomes([failed(refused), gone, sent(delivered)])
    found = [addresses(await stores.deliveries.newest(9, DeliveryFilter(refused=which))) for which in (True, False)]
    assert found == [["no address", "a1@example.com"], ["a2@example.com"]]
    assert await stores.deliveries.count(DeliveryFilter(refused=True)) == 2
    # After a retry, its latest attempt counts.
    await stores.deliveries.retry(refused.delivery.id)
    (again,) = [one for one in await claim(stores) if one.delivery.id == refused.delivery.id]
    await stores.deliveries.record_outcomes([replace(gone, claim=again)])
    assert await stores.deliveries.count(DeliveryFilter(refused=False)) == 2


# --- retention ------------------------------------------------------------------------------------------------


def keeping(age: float = 1e6, count: int = 1_000) -> Keeping:
    rest = Keep(timedelta(days=365), 1_000)
    return Keeping(rest, rest, rest, Keep(timedelta(seconds=age), count))


async def test_the_oldest_deliveries_are_pruned_first_and_pending_ones_never(stores: Stores) -> None:
    await series(stores, 6)
    one, two, _, four, five, _ = await claim(stores)
    await stores.deliveries.record_outcomes([sent(one), failed(two), sent(four), sent(five)])
    pruned = await stores.retention.prune(keeping(count=2), later(10))
    assert pruned.deliveries == 2
    left = ["a6@example.com", "a5@example.com", "a4@example.com", "a3@example.com"]
    assert addresses(await all_of(stores)) == left
    assert await stores.deliveries.attempts(one.delivery.id) == ()
    assert (await stores.retention.prune(keeping(count=2), later(10))).nothing
    assert (await stores.retention.prune(keeping(age=3), later(100))).deliveries == 2
    assert addresses(await all_of(stores)) == ["a6@example.com", "a3@example.com"]
    # After pruning, the event is new again.
    assert addresses((await record(stores.store, order("e4", "a4@example.com"))).deliveries) == ["a4@example.com"]


async def test_a_pruning_step_deletes_at_most_its_limit(stores: Stores) -> None:
    await series(stores, 5)
    await stores.deliveries.record_outcomes([sent(one) for one in await claim(stores)])
    steps = [(await stores.retention.prune(keeping(count=0), NOW, limit=2)).deliveries for _ in range(4)]
    assert steps == [2, 2, 1, 0]
