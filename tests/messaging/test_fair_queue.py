"""Fair queue and admission: accounts take turns, each keeps its order, and no flood fills the whole capacity."""

from dataclasses import dataclass
from itertools import groupby

from shared.messaging.admission import Admission, KnownTenants, Throughput, weight_of
from shared.messaging.fair_queue import FairQueue


@dataclass
class One:
    account: str
    number: int
    weight: int = 1


def known_tenants(*accounts: str) -> KnownTenants:
    tenants = KnownTenants()
    for account in accounts:
        tenants.add(account)
    return tenants


def queue_of(*waiting: tuple[str, int], tenants: KnownTenants) -> FairQueue[One]:
    """So many of each account, one account after the other."""
    queue: FairQueue[One] = FairQueue(tenants)
    for account, count in waiting:
        for number in range(count):
            queue.put(One(account, number))
    return queue


def in_order(taken: list[One], account: str) -> bool:
    numbers = [one.number for one in taken if one.account == account]
    return numbers == sorted(numbers)


def test_an_account_that_comes_last_with_one_is_served_in_the_first_group() -> None:
    queue = queue_of(("a", 1_000), ("b", 1), tenants=known_tenants("a", "b"))
    taken = queue.take(10, of_one=5)
    assert [one.account for one in taken] == ["a", "b", "a", "a", "a", "a"]
    assert in_order(taken, "a")


def test_one_account_alone_fills_the_group() -> None:
    assert len(queue_of(("a", 1_000), tenants=known_tenants("a")).take(512, of_one=64)) == 512


def test_where_several_serve_no_line_has_more_than_half_of_them_while_there_are_others() -> None:
    queue = queue_of(("a", 1_000), ("b", 1), tenants=known_tenants("a", "b"))
    groups = [queue.take(64, 16, served, workers=4) for served in ({}, {"a": 1}, {"a": 2}, {"a": 2, "b": 1})]
    assert [{one.account for one in group} for group in groups] == [{"a"}, {"a"}, {"b"}, set()]
    assert [len(group) for group in groups] == [16, 16, 1, 0]


def test_one_line_alone_has_all_who_serve() -> None:
    queue = queue_of(("a", 1_000), tenants=known_tenants("a"))
    assert len(queue.take(64, 16, {"a": 3}, workers=4)) == 64


def test_more_lines_than_serve_are_put_together() -> None:
    queue = queue_of(*((name, 9) for name in "abcde"), tenants=known_tenants(*"abcde"))
    assert [one.account for one in queue.take(7, 16, {}, workers=4)] == list("abcdeab")


def test_each_account_keeps_its_order_over_all_groups() -> None:
    queue = queue_of(("a", 50), ("b", 20), ("c", 5), tenants=known_tenants("a", "b", "c"))
    taken = []
    while queue:
        taken += queue.take(7, of_one=3)
    assert all(in_order(taken, account) for account in "abc")
    assert sorted((one.account, one.number) for one in taken) == sorted(
        (account, n) for account, count in (("a", 50), ("b", 20), ("c", 5)) for n in range(count)
    )


def test_made_up_accounts_share_one_line() -> None:
    queue = queue_of(*((f"nobody{n}", 1) for n in range(500)), ("a", 3), tenants=known_tenants("a"))
    accounts = [one.account == "a" for one in queue.take(6, of_one=6)]
    assert accounts == [False, True, False, True, False, True]


def test_an_account_that_becomes_known_keeps_its_order() -> None:
    queue = queue_of(("nobody", 3), ("new", 4), tenants=known_tenants())
    first = queue.take(4, of_one=4)
    queue.put(One("new", 4))
    queue.add_tenants({"new"})
    queue.put(One("new", 5))
    rest = queue.take(10, of_one=10)
    assert [one.number for one in (*first, *rest) if one.account == "new"] == list(range(6))


def test_items_that_are_put_back_come_first_again() -> None:
    queue = queue_of(("a", 4), ("b", 2), tenants=known_tenants("a", "b"))
    taken = queue.take(4, of_one=4)
    queue.put_back(taken[1:])
    again = queue.take(10, of_one=10)
    assert again[0] is taken[1]
    assert in_order([taken[0], *again], "a")
    assert in_order(again, "b")
    assert len(again) == 5


def test_expired_items_are_removed_from_every_line() -> None:
    queue = queue_of(("a", 3), ("b", 3), tenants=known_tenants("a", "b"))
    late = queue.remove_expired(lambda one: one.number < 2)
    assert [(account, len(list(ones))) for account, ones in groupby(late, lambda one: one.account)] == [
        ("a", 2),
        ("b", 2),
    ]
    assert [one.number for one in queue.take(10, of_one=10)] == [2, 2]


def test_large_items_fill_a_group_sooner() -> None:
    queue: FairQueue[One] = FairQueue(known_tenants("a"))
    for number in range(10):
        queue.put(One("a", number, weight_of(256 * 1024)))
    assert len(queue.take(512, of_one=512)) == 8


def test_one_flood_takes_half_of_the_capacity_and_two_take_a_third_each() -> None:
    for floods, share in ((["a"], 50), (["a", "b"], 33)):
        admission = Admission(100, known_tenants("a", "b", "good"))
        for _ in range(100):
            for account in floods:
                admission.enter(account, 1)
        assert admission.total in (share * len(floods), share * len(floods) + 1)
        assert admission.admits("good", 1)


def test_all_made_up_accounts_have_one_share() -> None:
    admission = Admission(100, known_tenants("good"))
    entered = [admission.enter(f"nobody{number}", 1) for number in range(100)]
    assert sum(share is not None for share in entered) == 50
    assert admission.enter("good", 1) == "good"


def test_capacity_is_there_again_when_all_have_left() -> None:
    tenants = known_tenants()
    admission = Admission(10, tenants)
    shares = [admission.enter("a", 1) for _ in range(5)]
    assert admission.enter("a", 1) is None
    # Counted where it entered, though it has a share of its own by now.
    tenants.add("a")
    for share in shares:
        assert share is not None
        admission.leave(share, 1)
    assert admission.total == 0
    assert admission.admits("a", 5)


def test_the_hint_grows_with_what_waits_and_with_what_it_costs() -> None:
    throughput = Throughput(1_000.0)
    assert throughput.retry_after_ms(0) == 50
    assert throughput.retry_after_ms(2_000) == 2_000
    assert throughput.retry_after_ms(10**9) == 10_000
    for _ in range(50):
        throughput.observe(100, 1.0)
    assert throughput.retry_after_ms(500) in range(4_900, 5_100)
