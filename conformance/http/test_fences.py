"""Registers that storage asks."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from harness.api import Api, problem


def fence(resource: str) -> str:
    return f"/v1/fences/{quote(resource, safe='')}"


def check(api: Api, resource: str, token: int) -> dict:
    return api.ask("POST", f"{fence(resource)}/check", {"token": token})


def tokens(api: Api, name: str, count: int) -> list[int]:
    """As many real tokens, in order."""
    granted = []
    for _ in range(count):
        granted.append(api.acquire(name)["token"])
        api.release(name, granted[-1])
    return granted


def test_a_stale_token_is_refused_and_the_same_one_passes_again(api, name):
    old, middle, new = tokens(api, name, 3)
    assert check(api, name, old) == {"resource": name, "token": old, "minimum": old}
    assert check(api, name, old)["minimum"] == old
    assert check(api, name, new)["minimum"] == new
    for stale in (old, middle):
        code, answer = problem(check, api, name, stale)
        assert (code, answer.status, answer.json["minimum"]) == ("stale", 409, new)
    assert check(api, name, new)["minimum"] == new
    assert api.get(fence(name)) == {"resource": name, "minimum": new}


def test_the_minimum_is_the_same_on_every_node_at_once(apis, name):
    for turn, token in enumerate(tokens(apis[0], name, 30)):
        check(apis[turn % 3], name, token)
        assert [api.get(fence(name))["minimum"] for api in apis] == [token] * 3


def test_of_concurrent_checks_none_passes_after_a_greater_one(apis, name):
    """Each answer says which minimum it left behind. It must be its own token, and the greatest must end up there."""
    granted = tokens(apis[0], name, 24)

    def ask(pair):
        number, token = pair
        path = f"{fence(name)}/check"
        return apis[number % 3].request("POST", path, {"token": token})

    pairs = list(enumerate(granted))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, pairs[::-1] + pairs))
    for (_, token), answer in zip(pairs[::-1] + pairs, answers):
        assert answer.status in (200, 409), answer
        minimum = answer.json["minimum"]
        assert minimum == token if answer.status == 200 else minimum > token, answer
    assert apis[1].get(fence(name))["minimum"] == granted[-1]
    assert sum(answer.status == 409 for answer in answers) > 0, "nothing was refused, so this test shows nothing"


def test_resources_have_registers_of_their_own(api, name):
    old, new = tokens(api, name, 2)
    check(api, f"{name}/a", new)
    check(api, f"{name}/b", old)
    assert problem(check, api, f"{name}/a", old)[0] == "stale"


def test_a_resource_nobody_asked_for_lets_everything_pass(api, name):
    assert api.get(fence(name)) == {"resource": name, "minimum": 0}


def test_lists_are_paged(api, name):
    (token,) = tokens(api, name, 1)
    wanted = [f"{name}-{number}" for number in range(9)]
    for resource in wanted:
        check(api, resource, token)
    shown = [item for page in api.pages("/v1/fences", 4) for item in page]
    ours = [item for item in shown if item["resource"].startswith(f"{name}-")]
    assert ours == [{"resource": resource, "minimum": token} for resource in wanted]


@pytest.mark.parametrize("token", [-1, 0.5, "7", None, 2**64])
def test_what_is_no_token_is_refused(api, name, token):
    code, answer = problem(check, api, name, token)
    assert code == "bad-request" and "token" in answer.text
