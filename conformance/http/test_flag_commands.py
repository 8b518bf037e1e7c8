"""The commands of feature flags, as people and scripts use them."""

import json

from harness.process import wait_until

def test_flags_from_first_to_last(quipu, watch, name):
    changes = watch("flags", "watch", "--json")
    assert "it is new" in quipu("flags", "set", name, "--on", "25%")
    answers = [json.loads(quipu("flags", "eval", name, "--key", f"user-{n}", "--json")) for n in range(40)]
    on = [answer["value"] for answer in answers].count(True)
    assert 1 <= on <= 25, f"{on} of 40 are in the quarter"
    for n in range(0, 40, 10):
        again = json.loads(quipu("flags", "eval", name, "--key", f"user-{n}", "--json"))
        assert again["variant"] == answers[n]["variant"], "the same for the same key"
    assert "on (true) for everybody" in quipu("flags", "set", name, "--on", "--comment", "all at last")
    assert quipu("flags", "eval", name, "--key", "user-1").startswith("true  variant on  ")
    quipu("flags", "set", name, "--off")
    assert quipu("flags", "eval", name).startswith("false  variant off  ")
    history = quipu("flags", "history", name)
    assert "all at last" in history and "25%" in history
    assert name in quipu("flags", "ls", name)
    quipu("flags", "rm", name, "--comment", "done")
    assert "FLAG_NOT_FOUND" in quipu("flags", "eval", name, status=1)
    own = lambda: [json.loads(line) for line in changes() if f'"{name}"' in line]  # noqa: E731
    wait_until(lambda: own() and own()[-1]["definition"] is None, 10, "the removal")


def test_a_flag_of_another_kind_is_not_replaced_in_passing(quipu, name):
    variants = ["--variant", 'red="#f00"', "--variant", "blue=#00f", "--default", "red"]
    quipu("flags", "set", name, *variants)
    assert quipu("flags", "eval", name).startswith('"#f00"  variant red  ')
    assert "--replace" in quipu("flags", "set", name, "--on", status=1)
    definition = json.loads(quipu("flags", "get", name))
    definition["targeting"] = {"if": [{"==": [{"var": "country"}, "PE"]}, "blue", None]}
    (quipu.folder / "flag.json").write_text(json.dumps(definition))
    quipu("flags", "set", name, "--file", "flag.json")
    assert "blue" in quipu("flags", "eval", name, "--context", "country=PE")
    assert "red" in quipu("flags", "eval", name, "--context", "country=BO")
    (quipu.folder / "wrong.json").write_text('{"variants": 7}')
    assert "variants" in quipu("flags", "set", name, "--file", "wrong.json", status=1)
    quipu("flags", "set", name, "--on", "--replace")
    assert quipu("flags", "eval", name).startswith("true  ")
