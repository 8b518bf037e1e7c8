"""Feature flags, as the official Python client of OFREP and bare HTTP see them."""

from urllib.parse import urlencode

import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, FlagNotFoundError, GeneralError, ParseError, TypeMismatchError
from openfeature.flag_evaluation import Reason

from harness.api import Api, Stream, problem
from harness.process import wait_until

BULK = "/ofrep/v1/evaluate/flags"


def flag(variants: dict, default: str | None, targeting: dict | None = None, state: str = "ENABLED", **more) -> dict:
    definition = {"state": state, "variants": variants, "defaultVariant": default, **more}
    return {**definition, "targeting": targeting} if targeting else definition


FLAGS = {
    "switch": flag({"on": True, "off": False}, "on"),
    "text": flag({"hello": "hi ä", "empty": ""}, "hello", metadata={"owner": "ann", "level": 3}),
    "whole": flag({"ten": 10, "zero": 0}, "ten"),
    "fraction": flag({"half": 0.5, "one": 1.0}, "one"),
    "object": flag({"full": {"a": 1, "b": [True, None, "x"]}, "none": {}}, "full"),
    "staff": flag({"on": True, "off": False}, "off", {"if": [{"ends_with": [{"var": "email"}, "@quipu.example"]}, "on", None]}),
    "split": flag({"a": "a", "b": "b"}, "a", {"fractional": [["a", 50], ["b", 50]]}),
    "mine": flag({"on": True, "off": False}, "off", {"if": [{"==": [{"var": "targetingKey"}, "user-7"]}, "on", "off"]}),
    "disabled": flag({"on": True, "off": False}, "on", state="DISABLED"),
    "no-default": flag({"on": True, "off": False}, None),
    "unknown-variant": flag({"on": True}, "on", {"if": [True, "nothing", "on"]}),
}


@pytest.fixture(scope="module")
def prefix(cluster) -> str:
    """The flags above, under names of this module's own, once every node knows them: evaluations are local reads."""
    apis = [Api(cluster.http(node)) for node in cluster.nodes]
    for key, definition in FLAGS.items():
        answer = apis[0].request("PUT", f"/v1/flags/ofrep-{key}", definition)
        assert answer.status == 200, f"{key}: {answer}"
    last = f"ofrep-{key}"
    for api in apis:
        wait_until(lambda: last in bulk(api, {}).text, 10, f"the flags on {api.address}")
    return "ofrep-"


@pytest.fixture
def provider(api, prefix) -> OFREPProvider:
    return OFREPProvider(f"http://{api.address}")


def context(key: str | None = "user-1", **attributes) -> EvaluationContext:
    return EvaluationContext(key, attributes)


def test_every_type_comes_through_the_official_client(provider, prefix):
    switch = provider.resolve_boolean_details(f"{prefix}switch", False, context())
    assert (switch.value, switch.reason, switch.variant) == (True, Reason.STATIC, "on")
    text = provider.resolve_string_details(f"{prefix}text", "", context())
    assert (text.value, text.variant) == ("hi ä", "hello")
    assert text.flag_metadata["owner"] == "ann" and text.flag_metadata["level"] == 3
    whole = provider.resolve_integer_details(f"{prefix}whole", 0, context())
    assert (whole.value, type(whole.value)) == (10, int)
    fraction = provider.resolve_float_details(f"{prefix}fraction", 0.0, context())
    assert (fraction.value, type(fraction.value)) == (1.0, float), "1.0 must not become 1 on the way"
    whole_object = provider.resolve_object_details(f"{prefix}object", {}, context())
    assert whole_object.value == {"a": 1, "b": [True, None, "x"]}


def test_targeting_looks_at_the_context(provider, prefix):
    def resolve(key, asked):
        details = provider.resolve_boolean_details(f"{prefix}{key}", False, asked)
        return details.value, details.reason

    assert resolve("staff", context(email="ann@quipu.example")) == (True, Reason.TARGETING_MATCH)
    assert resolve("staff", context(email="eve@elsewhere.example")) == (False, Reason.DEFAULT)
    assert resolve("staff", context()) == (False, Reason.DEFAULT)
    assert resolve("mine", context("user-7")) == (True, Reason.TARGETING_MATCH)
    assert resolve("mine", context("user-8")) == (False, Reason.TARGETING_MATCH)
    assert resolve("mine", None) == (False, Reason.TARGETING_MATCH)


def test_a_split_is_even_stable_and_the_same_on_every_node(cluster, prefix):
    providers = [OFREPProvider(f"http://{cluster.http(node)}") for node in cluster.nodes]
    chosen = {}
    for user in range(150):
        answers = {p.resolve_string_details(f"{prefix}split", "", context(f"user-{user}")).value for p in providers}
        assert len(answers) == 1, f"user-{user} gets {answers}"
        chosen[user] = answers.pop()
    share = sum(value == "a" for value in chosen.values()) / len(chosen)
    # Five standard deviations either way.
    assert 0.3 < share < 0.7, share


def test_the_official_client_understands_our_errors(provider, prefix):
    with pytest.raises(FlagNotFoundError) as missing:
        provider.resolve_boolean_details("ofrep-missing", False, context())
    assert missing.value.error_message
    with pytest.raises(TypeMismatchError):
        provider.resolve_string_details(f"{prefix}switch", "", context())
    with pytest.raises(GeneralError) as unknown:
        provider.resolve_boolean_details(f"{prefix}unknown-variant", False, context())
    assert unknown.value.error_code == ErrorCode.GENERAL


def test_a_flag_without_a_value_leaves_it_to_the_code(provider, prefix):
    for default in (True, False):
        details = provider.resolve_boolean_details(f"{prefix}no-default", default, context())
        assert details.value is default


def test_a_disabled_flag_leaves_it_to_the_code(api, provider, prefix):
    answer = api.request("POST", f"{BULK}/{prefix}disabled", {"context": {"targetingKey": "u"}})
    if answer.status == 200:
        for default in (True, False):
            details = provider.resolve_boolean_details(f"{prefix}disabled", default, context())
            assert (details.value, details.reason) == (default, Reason.DISABLED)
    else:
        # flagd itself answers such a flag as if it were not there.
        assert answer.status == 404 and answer.json["errorCode"] == "FLAG_NOT_FOUND", answer


@pytest.mark.parametrize("body, code", [
    (b"{", "PARSE_ERROR"), (b"[]", "INVALID_CONTEXT"), (b'{"context": 7}', "INVALID_CONTEXT"), (b'{"context": "x"}', "INVALID_CONTEXT"),
], ids=["no-json", "list", "number", "text"])
def test_bodies_that_are_none_get_ofreps_own_errors(api, prefix, body, code):
    answer = api.request("POST", f"{BULK}/{prefix}switch", body, {"Content-Type": "application/json"})
    assert answer.status == 400, answer
    shown = answer.json
    assert shown["key"] == f"{prefix}switch" and shown["errorDetails"], shown
    assert shown["errorCode"] in (code, "PARSE_ERROR", "INVALID_CONTEXT"), shown
    assert api.request("POST", BULK, body, {"Content-Type": "application/json"}).status == 400


def bulk(api: Api, asked: dict, **headers):
    return api.request("POST", BULK, {"context": asked}, headers)


def test_bulk_evaluates_everything_at_once(api, prefix):
    answer = bulk(api, {"targetingKey": "user-7", "email": "ann@quipu.example"})
    assert answer.status == 200 and answer.headers["ETag"], answer
    flags = {item["key"]: item for item in answer.json["flags"]}
    ours = {key.removeprefix(prefix): item for key, item in flags.items() if key.startswith(prefix)}
    assert set(FLAGS) - set(ours) <= {"disabled"}, sorted(ours)
    assert ours["switch"] == {"key": f"{prefix}switch", "value": True, "reason": "STATIC", "variant": "on", **_metadata(ours["switch"])}
    assert (ours["staff"]["value"], ours["mine"]["value"], ours["whole"]["value"]) == (True, True, 10)
    assert "value" not in ours["no-default"]
    assert ours["unknown-variant"]["errorCode"] == "GENERAL" and ours["unknown-variant"]["errorDetails"]
    assert '"value":1.0' in answer.text.replace(" ", "")


def _metadata(item: dict) -> dict:
    return {"metadata": item["metadata"]} if "metadata" in item else {}


def test_an_etag_stands_for_the_flags_and_the_context(apis, prefix, name):
    asked = {"targetingKey": "user-7"}
    first = bulk(apis[0], asked)
    tag = first.headers["ETag"]
    for api in apis:
        same = bulk(api, asked, **{"If-None-Match": tag})
        assert (same.status, same.text, same.headers["ETag"]) == (304, "", tag), f"{api.address}: {same}"
    for other in ({"targetingKey": "user-8"}, {"targetingKey": "user-7", "email": "x"}, {}):
        answer = bulk(apis[0], other, **{"If-None-Match": tag})
        assert answer.status == 200 and answer.headers["ETag"] != tag, f"{other} got user-7's answer"
    apis[1].ask("PUT", f"/v1/flags/{name}", FLAGS["switch"])
    try:
        changed = wait_until(lambda: _changed(apis[0], asked, tag), 10, "the new flag to be seen")
        assert name in {item["key"] for item in changed.json["flags"]}
    finally:
        apis[1].ask("DELETE", f"/v1/flags/{name}")
    wait_until(lambda: bulk(apis[2], asked).headers["ETag"] != changed.headers["ETag"], 10, "the deletion to be seen")


def _changed(api: Api, asked: dict, tag: str):
    answer = bulk(api, asked, **{"If-None-Match": tag})
    return answer if answer.status == 200 else None


def test_a_change_is_seen_by_the_official_client_of_another_node(apis, name):
    key = f"{name}-change"
    provider = OFREPProvider(f"http://{apis[2].address}")
    apis[0].ask("PUT", f"/v1/flags/{key}", flag({"on": True, "off": False}, "off"))
    wait_until(lambda: _known(provider, key) is False, 10, "the flag")
    apis[1].ask("PUT", f"/v1/flags/{key}", flag({"on": True, "off": False}, "on"))
    wait_until(lambda: _known(provider, key) is True, 10, "its change")
    apis[0].ask("DELETE", f"/v1/flags/{key}")
    wait_until(lambda: _known(provider, key) is None, 10, "its end")


def _known(provider: OFREPProvider, key: str) -> bool | None:
    try:
        return provider.resolve_boolean_details(key, False, context()).value
    except FlagNotFoundError:
        return None


def test_changes_name_the_version_they_replace_and_leave_a_history(api, name):
    path = f"/v1/flags/{name}"
    first = api.ask("PUT", path, flag({"on": True, "off": False}, "off"))
    assert first["key"] == name and first["definition"]["defaultVariant"] == "off"
    quoted = f'"{first["version"]}"'
    answer = api.request("PUT", path, flag({"on": True, "off": False}, "on"), {"If-Match": quoted})
    assert answer.status == 200, answer
    stale = api.request("PUT", path, flag({"on": True, "off": False}, "off"), {"If-Match": quoted})
    assert (stale.status, stale.problem) == (412, "bad-version"), stale
    assert api.get(path)["definition"]["defaultVariant"] == "on"
    history = api.get(f"{path}/history")["items"]
    assert len(history) >= 2, history
    api.ask("DELETE", path)
    assert problem(api.get, path)[0] == "not-found"


@pytest.mark.parametrize("wrong", [
    {}, {"state": "ENABLED"}, {"state": "on", "variants": {"a": True}, "defaultVariant": "a"},
    {"state": "ENABLED", "variants": {}, "defaultVariant": "a"},
    {"state": "ENABLED", "variants": {"a": True, "b": "text"}, "defaultVariant": "a"},
    {"state": "ENABLED", "variants": {"a": True}, "defaultVariant": "missing"},
], ids=["empty", "no-variants", "state", "none-to-choose", "mixed-types", "default"])
def test_definitions_that_cannot_work_are_refused(api, name, wrong):
    answer = api.request("PUT", f"/v1/flags/{name}", wrong)
    assert answer.status == 400 and answer.problem == "bad-request", answer
    assert api.request("GET", f"/v1/flags/{name}").status == 404


def test_the_clusters_own_flags_can_be_seen_but_not_changed(api):
    assert api.get("/v1/flags/quipu.locks")["definition"]["state"] == "ENABLED"
    for method, body in (("PUT", FLAGS["switch"]), ("DELETE", None)):
        answer = api.request(method, "/v1/flags/quipu.locks", body)
        assert answer.status in (400, 403) and answer.problem, f"{method}: {answer}"
    assert api.get("/v1/flags/quipu.locks")["definition"]["defaultVariant"] == "on"


def test_the_event_stream_of_a_bulk_answer_tells_of_changes(apis, name):
    answer = bulk(apis[0], {"targetingKey": "user-7"})
    streams = answer.json["eventStreams"]
    assert streams and streams[0]["type"] == "sse", streams
    named = streams[0].get("url") or streams[0]["endpoint"]
    if isinstance(named, dict):
        named = named["requestUri"]
    path = "/" + named.partition("://")[2].partition("/")[2] if "://" in named else named
    with Stream(apis[2], path) as stream:
        first = stream.next()
        with pytest.raises(TimeoutError):
            event = stream.next(1)
            pytest.fail(f"an event without a change: {event}")
    with Stream(apis[2], path, last_event_id=first.id) as stream:
        apis[1].ask("PUT", f"/v1/flags/{name}", FLAGS["switch"])
        changed = stream.next()
    assert first.json["type"] == changed.json["type"] == "refetchEvaluation", changed
    assert int(changed.id) > int(first.id) and changed.json["etag"] != first.json["etag"]
    # The change is in the answer of any node that is shown the event's tag.
    for api in apis:
        query = urlencode({"flagConfigEtag": changed.json["etag"]})
        assert name in api.request("POST", f"{BULK}?{query}", {"context": {}}).text


def test_parse_errors_of_stored_rules_are_told_as_such(cluster, api, name):
    """A rule that another client wrote into the tree, without the API's checks."""
    answer = api.request("PUT", f"/v1/flags/{name}", flag({"on": True}, "on", {"$ref": "no-such-evaluator"}))
    if answer.status == 400:
        return
    with pytest.raises((ParseError, GeneralError)):
        OFREPProvider(f"http://{api.address}").resolve_boolean_details(name, False, context())
