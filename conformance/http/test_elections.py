"""Elections, and what their observers hear."""

import time

import pytest

from harness.api import Background, Refused, Stream, election, place, problem


def renew(api, name: str, term: int) -> dict:
    return api.ask("POST", f"{election(name)}/renew", {"term": term})


def resign(api, name: str, term: int) -> dict:
    return api.ask("POST", f"{election(name)}/resign", {"term": term})


def test_one_leads_and_the_next_follows(api, name):
    first = api.campaign(name, "ann", ttl_ms=20_000, value="10.0.0.1:80")
    request_id = first.pop("request_id")
    assert request_id
    assert first == {"name": name, "term": first["term"], "candidate": "ann", "ttl_ms": 20_000, "value": "10.0.0.1:80"}
    shown = api.get(election(name))
    assert shown["name"] == name and shown["waiting"] == 0
    leader = shown["leader"]
    assert (leader["term"], leader["candidate"], leader["value"], leader["ttl_ms"]) == (first["term"], "ann", "10.0.0.1:80", 20_000)
    assert problem(api.campaign, name, "bob")[0] == "busy"
    waiting = Background(api.campaign, name, "bob", wait_ms=20_000)
    while api.get(election(name))["waiting"] != 1:
        time.sleep(0.02)
    assert renew(api, name, first["term"])["term"] == first["term"]
    resign(api, name, first["term"])
    second = waiting.result(10)
    assert second["candidate"] == "bob" and second["term"] > first["term"]
    assert problem(renew, api, name, first["term"])[0] == "not-held"
    assert problem(resign, api, name, first["term"])[0] == "not-held"
    assert api.get(election(name))["leader"]["candidate"] == "bob"


def test_terms_and_tokens_are_in_one_number_space(apis, name):
    numbers = []
    for turn in range(6):
        grant = apis[turn % 3].campaign(f"{name}-{turn}", "ann") if turn % 2 else apis[turn % 3].acquire(f"{name}-{turn}")
        numbers.append(grant["term"] if turn % 2 else grant["token"])
    assert numbers == sorted(set(numbers)), numbers


def test_an_election_is_not_the_lock_of_the_same_name(api, name):
    term = api.campaign(name, "ann")["term"]
    token = api.acquire(name)["token"]
    assert problem(api.release, name, term)[0] == "not-held"
    api.release(name, token)
    assert api.get(election(name))["leader"]["term"] == term


def test_observers_hear_every_change_in_order(apis, name):
    """One observer on each node; they must hear the same, with rising ids."""
    streams = [Stream(api, f"{election(name)}/events") for api in apis]
    try:
        for stream in streams:
            state = stream.next()
            assert state.name == "state" and state.json.get("leader") is None, state
        expected = []
        for turn in range(5):
            term = apis[turn % 3].campaign(name, f"candidate {turn}", ttl_ms=60_000, value=str(turn))["term"]
            resign(apis[(turn + 1) % 3], name, term)
            expected += [("elected", term), ("vacant", term)]
        heard = [[stream.named("elected", "vacant") for _ in expected] for stream in streams]
    finally:
        for stream in streams:
            stream.close()
    for events in heard:
        assert [(event.name, event.json["term"]) for event in events] == expected
        assert [event.json["candidate"] for event in events[::2]] == [f"candidate {turn}" for turn in range(5)]
        assert {event.json["why"] for event in events[1::2]} == {"released"}
        assert all(event.json["name"] == name for event in events)
    ids = [[place(event) for event in events] for events in heard]
    assert ids[0] == ids[1] == ids[2] and ids[0] == sorted(ids[0]), "ids are places in the log, the same on every node"


def test_an_observer_goes_on_where_it_was_cut_off_on_another_node(apis, name):
    with Stream(apis[0], f"{election(name)}/events") as stream:
        term = apis[0].campaign(name, "ann", ttl_ms=60_000)["term"]
        first = stream.named("elected")
    resign(apis[0], name, term)
    second = apis[1].campaign(name, "bob", ttl_ms=60_000)["term"]
    resign(apis[1], name, second)
    third = apis[2].campaign(name, "eve", ttl_ms=60_000)["term"]
    with Stream(apis[1], f"{election(name)}/events", last_event_id=first.id) as stream:
        missed = [stream.named("elected", "vacant") for _ in range(4)]
    told = [(event.name, event.json["term"]) for event in missed]
    assert told == [("vacant", term), ("elected", second), ("vacant", second), ("elected", third)]
    assert all(place(event) > place(first) for event in missed)


def test_an_observer_who_comes_late_is_told_the_state(api, name):
    term = api.campaign(name, "ann", value="here", ttl_ms=60_000)["term"]
    with Stream(api, f"{election(name)}/events") as stream:
        state = stream.next()
    assert state.name == "state"
    leader = state.json["leader"]
    assert (leader["term"], leader["candidate"], leader["value"]) == (term, "ann", "here")


@pytest.mark.parametrize("last", ["1", "999999999999"])
def test_a_gap_that_cannot_be_filled_is_answered_with_the_state(api, name, last):
    term = api.campaign(name, "ann", ttl_ms=60_000)["term"]
    with Stream(api, f"{election(name)}/events", last_event_id=last) as stream:
        event = stream.next()
    leader = event.json["leader"] if event.name == "state" else event.json
    assert event.name in ("state", "elected") and leader["term"] == term, event


def test_a_last_event_id_that_is_none_is_refused_or_passed_over(api, name):
    try:
        with Stream(api, f"{election(name)}/events", last_event_id="nonsense") as stream:
            assert stream.next().name == "state"
    except Refused as refused:
        assert refused.answer.problem == "bad-request"


def test_a_stream_ends_at_its_deadline(api, name):
    began = time.monotonic()
    with Stream(api, f"{election(name)}/events", timeout_ms=800) as stream:
        assert stream.next().name == "state"
        assert stream.next(10) is None, "an event without a change"
    assert 0.8 <= time.monotonic() - began < 4


def test_a_leader_that_is_silent_is_replaced_and_observers_hear_why(api, name):
    with Stream(api, f"{election(name)}/events") as stream:
        first = api.campaign(name, "ann", ttl_ms=500)["term"]
        second = api.campaign(name, "bob", wait_ms=20_000)["term"]
        events = [stream.named("elected", "vacant") for _ in range(3)]
    assert [(event.name, event.json["term"]) for event in events] == [("elected", first), ("vacant", first), ("elected", second)]
    assert events[1].json["why"] == "expired"


def test_lists_are_paged(api, name):
    for number in range(9):
        api.campaign(f"{name}-{number}", "ann")
    shown = [item for page in api.pages("/v1/elections", 4) for item in page]
    ours = [item for item in shown if item["name"].startswith(name)]
    assert [item["name"] for item in ours] == [f"{name}-{number}" for number in range(9)]
    assert all(item["leader"]["candidate"] == "ann" for item in ours)
