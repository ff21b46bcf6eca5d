"""Templates that a node lacks: their deliveries are left to nodes that have them."""

from msgspec.structs import replace

from application.delivery.channel import PeerUnavailable
from tests.support.dispatching import POLICY, Node, Rig, always, running
from tests.support.reading import until

HOUR = POLICY.template_wait_seconds


async def test_a_node_leaves_deliveries_with_templates_it_lacks_to_the_others() -> None:
    """As in a rolling upgrade that adds a template: the old node claims its deliveries too."""
    rig = Rig()
    old, new = Node(rig, POLICY, "order_created.html"), Node(rig, POLICY, "order_created.html", "new.html")
    for number in range(5):
        await rig.with_template(f"new-{number}", "new.html")
    await rig.mail(3)
    async with running(old.dispatcher):
        await until(lambda: old.counters.mails["sent"] == 3 and bool(old.renderer.lacking))
        assert await rig.count("failed") == 0
        waiting = [one for one in await rig.deliveries.newest(10) if one.item.template == "new.html"]
        assert {(one.status, one.attempts) for one in waiting} == {("pending", 0)}
        # They are due, and for a while this node does not claim them.
        await rig.polls()
        lacking = len(old.renderer.lacking)
        assert lacking == old.counters.mails["left_to_others"] <= 5
        async with running(new.dispatcher):
            await rig.until("sent", 8)
        assert len(old.renderer.lacking) == lacking
    assert {one.unrendered_since for one in await rig.deliveries.newest(10)} == {None}


async def test_a_template_that_is_added_later_is_used() -> None:
    rig = Rig()
    await rig.with_template("e", "new.html")
    async with running(rig.dispatcher):
        await until(lambda: bool(rig.node.renderer.lacking))
        rig.node.renderer.templates.add("new.html")
        rig.clock.turn(POLICY.template_pause_seconds)
        await rig.until("sent", 1)


async def test_a_delivery_whose_template_no_node_has_fails_with_the_reason() -> None:
    rig = Rig()
    await rig.with_template("e", "new.html")
    async with running(rig.dispatcher):
        await until(lambda: bool(rig.node.renderer.lacking))
        rig.clock.turn(HOUR / 2)
        await until(lambda: len(rig.node.renderer.lacking) == 2)
        assert await rig.count("pending") == 1
        rig.clock.turn(HOUR / 2)
        await rig.until("failed", 1)
    one = await rig.one()
    assert one.error == "no node has had a usable template for 60 minutes: new.html: there is no such template"
    assert one.attempts == 1


async def test_deliveries_wait_for_an_unavailable_peer_longer_than_for_a_template() -> None:
    """While nothing is sent, the node with the template reports that it has it."""
    policy = replace(POLICY, tries=1_000)
    rig = Rig(policy)
    rig.office.answer, rig.office.is_unavailable = always(PeerUnavailable("connection refused")), True
    new = Node(rig, policy, "new.html", routed={"new.html"})
    for number in range(20):
        await rig.with_template(f"e{number}", "new.html")
    async with running(rig.dispatcher, new.dispatcher):
        await until(lambda: bool(rig.node.renderer.lacking) and new.dispatcher.error is not None)
        for _ in range(10):
            # Three rounds take longer than the wait for a template.
            lacking, reports = len(rig.node.renderer.lacking), rig.deliveries.reports
            rig.clock.turn(policy.template_report_seconds)
            await until(lambda before=reports: rig.deliveries.reports > before)
            rig.clock.turn(HOUR / 3)
            await until(lambda before=lacking: len(rig.node.renderer.lacking) > before)
        assert await rig.count("failed") == 0
        rig.office.answer, rig.office.is_unavailable = (lambda mail: None), False
        await rig.until("sent", 20, turn=10)
