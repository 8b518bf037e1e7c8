"""The page as its reader meets it: what is shown, what a pointer and keys do, at both sizes, in both themes."""

import json

import pytest

SMALL, LARGE = "delivery-3x10", "election-5x60"
BOTH = pytest.mark.parametrize("name", [SMALL, LARGE])
ALL = pytest.mark.parametrize("name", [SMALL, LARGE, "hostile"])
SIZES = pytest.mark.parametrize("size", [(1440, 900), (1100, 700), (390, 800)], ids=str)
DETAILS = ["Full", "Words", "Overview"]


def data(page) -> dict:
    return json.loads(page.run("document.getElementById('data').textContent"))


def shown_run(page) -> dict:
    index = page.run("[...document.querySelectorAll('#runs button')].findIndex((b) => b.ariaPressed === 'true')")
    return data(page)["runs"][index]


def lineage(run: dict, roots: list[int]) -> tuple[set[int], set[int]]:
    """What an outcome leaned on, computed from the data alone: ids of steps, indices of messages."""
    steps = {step["id"]: step for step in run["steps"]}
    caused_by = {message["receiver"]: index for index, message in enumerate(run["messages"])}
    found, messages, waiting = set(), set(), list(roots)
    while waiting:
        step = waiting.pop()
        if step in found:
            continue
        found.add(step)
        waiting += steps[step]["because"]
        if step in caused_by:
            messages.add(caused_by[step])
            waiting.append(run["messages"][caused_by[step]]["sender"])
    return found, messages


def lit(page, what: str) -> set[int]:
    return set(
        page.run(f"[...document.querySelectorAll('#diagram .is-lit[data-{what}]')].map((e) => Number(e.dataset.{what}))")
    )


def choose(page, group: str, words: str) -> None:
    wanted = json.dumps(words)
    page.run(f"[...document.querySelectorAll('#{group} button')].find((b) => b.textContent.includes({wanted})).click()")
    page.settle()


@BOTH
def test_everything_in_the_data_is_in_the_picture(open_page, name):
    page = open_page(name)
    for index in range(len(data(page)["runs"])):
        page.run(f"document.querySelectorAll('#runs button')[{index}].click()")
        run = shown_run(page)
        fates = [message["fate"] for message in run["messages"]]
        count = lambda selector: page.run(f"document.querySelectorAll('#diagram {selector}').length")
        assert count("svg [data-step]") == len(run["steps"]) > 15
        assert count(".message-line") == len(fates) > 10
        assert count(".message-line.lost .cross") == fates.count("lost")
        assert count(".down") == len(run["crashes"]) == count(".sign.crash")
        assert count("svg .outcome") == len(run["outcomes"]) > 0
        assert page.run("document.querySelectorAll('#names .node').length") == len(run["nodes"])


def test_a_lost_message_is_told_by_more_than_its_colour(open_page):
    page = open_page(SMALL)
    style = lambda property: page.run(
        f"getComputedStyle(document.querySelector('#diagram .message-line.lost .line')).{property}"
    )
    red, green, blue = (int(part) for part in style("stroke").strip("rgb()").split(","))
    assert red > 2 * max(green, blue)
    assert style("strokeDasharray") != "none"
    assert page.run("document.querySelectorAll('#diagram .lost .cross').length") > 0
    words = "getComputedStyle(document.querySelector('#diagram .label.lost .says')).textDecorationLine"
    assert page.run(words) == "line-through"


@BOTH
def test_pointing_at_an_outcome_lights_what_it_leaned_on(open_page, name):
    page = open_page(name)
    run = shown_run(page)
    index = max(range(len(run["outcomes"])), key=lambda index: run["outcomes"][index]["round"])
    outcome = run["outcomes"][index]
    steps, messages = lineage(run, [outcome["step"], *outcome["because"]])
    page.hover(f"#outcomes [data-outcome='{index}']")
    assert lit(page, "step") == steps
    assert lit(page, "message") == messages
    assert 1 < len(steps) < len(run["steps"])
    assert 0 < len(messages) < len(run["messages"])
    dimmed = "Number(getComputedStyle(document.querySelector('#diagram .message-line:not(.is-lit)')).opacity)"
    assert page.run(dimmed) < 0.5
    page.away()
    assert lit(page, "step") == set()
    assert page.run(dimmed) == 1


def test_the_mark_in_the_picture_does_the_same_as_the_list(open_page):
    page = open_page(SMALL)
    page.hover("#diagram .label.outcome.goal")
    assert lit(page, "step")
    page.away()
    assert not lit(page, "step")


def test_a_click_keeps_the_lineage_lit_and_escape_lets_go(open_page):
    page = open_page(SMALL)
    page.click("#outcomes [data-outcome='1']")
    page.away()
    kept = lit(page, "step")
    assert kept
    assert page.run("document.querySelector('#outcomes [data-outcome=\"1\"]').ariaPressed") == "true"
    page.press("Escape")
    assert not lit(page, "step")


def test_an_outcome_can_be_traced_by_keyboard(open_page):
    page = open_page(SMALL)
    page.run("document.querySelector('#outcomes [data-outcome=\"1\"]').focus()")
    assert lit(page, "step")


@BOTH
@pytest.mark.parametrize("detail", DETAILS)
def test_the_slider_hides_later_rounds(open_page, name, detail):
    page = open_page(name)
    choose(page, "detail", detail)
    shown = """[...document.querySelectorAll('#diagram [data-at]')]
        .filter((e) => getComputedStyle(e).visibility === 'visible').map((e) => Number(e.dataset.at))"""
    everything = page.run(shown)
    last = data(page)["spec"]["last_round"]
    assert max(everything) >= last
    page.run("(() => { const s = document.getElementById('round'); s.value = 4; s.dispatchEvent(new Event('input')); })()")
    page.settle()
    partly = page.run(shown)
    assert max(partly) == 4
    assert sorted(partly) == sorted(at for at in everything if at <= 4)
    assert "4 of" in page.run("document.getElementById('shown').textContent")


def test_keys_step_and_play(open_page):
    page = open_page(SMALL)
    shown = lambda: page.run("Number(document.getElementById('round').value)")
    last = shown()
    page.press("ArrowLeft")
    assert shown() == last - 1
    page.press("Home")
    assert shown() == 1
    page.press("ArrowRight")
    assert shown() == 2
    page.press(" ", text=" ")
    page.run("new Promise((done) => setTimeout(done, 1700))")
    page.press(" ", text=" ")
    stopped = shown()
    assert 3 <= stopped < last
    page.run("new Promise((done) => setTimeout(done, 1000))")
    assert shown() == stopped


def test_beliefs_follow_the_slider(open_page):
    page = open_page(SMALL)
    run = shown_run(page)
    for round in range(1, 11):
        page.run(f"document.querySelector('#diagram .number[data-round=\"{round}\"]').click()")
        for index, node in enumerate(run["nodes"]):
            mine = [belief for belief in run["beliefs"] if belief["node"] == node["id"] and belief["round"] <= round]
            told = page.run(f"document.querySelectorAll('#beliefs dd')[{index}].firstChild.textContent")
            assert told == (mine[-1]["text"] if mine else "nothing yet")
            changed = page.run(f"document.querySelectorAll('#beliefs dd')[{index}].matches('.changed')")
            assert changed == bool(mine and mine[-1]["round"] == round)


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_the_readers_and_can_be_changed(open_page, dark):
    page = open_page(SMALL, dark=dark)
    brightness = lambda: sum(
        int(part) for part in page.run("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
    )
    was_dark = brightness() < 300
    assert was_dark == dark
    page.click("#theme")
    assert (brightness() < 300) != dark
    page.press("t")
    assert (brightness() < 300) == dark


def test_differences_mark_what_only_one_run_has(open_page):
    page = open_page(SMALL)
    page.click("#compare")
    report = data(page)
    good, bad = (run["messages"] for run in report["runs"])
    key = lambda message: (message["from"], message["to"], message["sent"], message["text"])
    with_fate = {(*key(message), message["fate"]) for message in good}
    shared = [(*key(message), message["fate"]) in with_fate for message in bad]
    told = page.run("[...document.querySelectorAll('#diagram .message-line')].map((e) => e.matches('.shared'))")
    assert told == shared and 0 < sum(shared) < len(shared)
    missing = {key(message) for message in good} - {key(message) for message in bad}
    assert page.run("document.querySelectorAll('#diagram svg .ghost').length") == len(missing) > 0


def test_the_good_run_shows_where_the_counterexample_cuts(open_page):
    page = open_page(SMALL)
    choose(page, "runs", "without faults")
    cut = page.run("document.querySelectorAll('#diagram .label .cut').length")
    report = data(page)
    losses = {(f["from"], f["to"], f["round"]) for f in report["faults"] if f["kind"] == "loss"}
    spared = [m for m in report["runs"][0]["messages"] if (m["from"], m["to"], m["sent"]) in losses]
    assert cut == len(spared) > 0


def test_what_is_missing_leads_to_the_run_that_has_it(open_page):
    page = open_page(SMALL)
    good, bad = (run["outcomes"] for run in data(page)["runs"])
    present = {(outcome["node"], outcome["text"]) for outcome in bad}
    missing = [outcome for outcome in good if (outcome["node"], outcome["text"]) not in present]
    assert page.run("document.querySelectorAll('#outcomes .absent').length") == len(missing) == 1
    page.click("#outcomes .absent")
    page.away()
    run = shown_run(page)
    assert run["good"]
    assert lit(page, "step") == lineage(run, [missing[0]["step"], *missing[0]["because"]])[0]
    assert "lost in the counterexample" in page.run("document.getElementById('lineage').textContent")


OVERLAPS = """(() => {
    const boxes = [...document.querySelectorAll('#diagram .label, #diagram .number, #names .node')]
        .map((e) => [e.getBoundingClientRect(), e.textContent, e.closest('#names') ? 1 : 0]);
    const found = [];
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
        const [a, b] = [boxes[i][0], boxes[j][0]];
        if (boxes[i][2] !== boxes[j][2]) continue;
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5)
            found.push(boxes[i][1] + ' / ' + boxes[j][1]);
    }
    return found;
})()"""

# Words in a box that cuts them off end at its edge.
OVERFLOWS = """(() => {
    const found = [];
    const width = document.documentElement.clientWidth;
    if (document.scrollingElement.scrollWidth > width) found.push('the page is ' + document.scrollingElement.scrollWidth);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
        if (!node.textContent.trim() || node.parentElement.closest('script, style, noscript, [hidden]')) continue;
        const box = (node.parentElement.closest('.label, .node') ?? node.parentElement).getBoundingClientRect();
        if (box.width && (box.left < -0.5 || box.right > width + 0.5)) found.push(node.textContent.slice(0, 60));
    }
    return found;
})()"""


@ALL
@SIZES
def test_no_text_leaves_the_window_or_lies_on_another(open_page, name, size):
    page = open_page(name, *size)
    for detail in DETAILS:
        choose(page, "detail", detail)
        assert page.run(OVERFLOWS) == [], detail
        assert page.run(OVERLAPS) == [], detail


def test_no_line_crosses_a_word(open_page):
    page = open_page(LARGE)
    choose(page, "detail", "Words")
    crossed = page.run(
        """(() => {
            const labels = [...document.querySelectorAll('#diagram .label')];
            const top = document.getElementById('diagram').getBoundingClientRect();
            const boxes = labels.map((e) => [e.offsetLeft + 4, e.offsetTop + 3, e.offsetLeft + e.offsetWidth - 4, e.offsetTop + 15, e]);
            const found = [];
            for (const line of document.querySelectorAll('#diagram .message-line .line')) {
                const length = line.getTotalLength();
                for (let at = 0; at < length; at += 4) {
                    const point = line.getPointAtLength(at);
                    const hit = boxes.find(([l, t, r, b]) => point.x > l && point.x < r && point.y > t && point.y < b);
                    if (hit) found.push(hit[4].textContent);
                }
            }
            return found;
        })()"""
    )
    assert crossed == []


def test_whatever_a_program_says_is_only_text(open_page):
    page = open_page("hostile")
    assert page.run("document.title").startswith("<b>hostile</b>")
    assert page.run("document.querySelector('h1').textContent") == "</script><img src=x onerror=fail()>"
    assert page.run("document.querySelectorAll('img, b').length") == 0
    assert page.run("document.scripts.length") == 2
    run = shown_run(page)
    names = page.run("[...document.querySelectorAll('#names .node')].map((e) => e.textContent)")
    assert names == [node["name"] for node in run["nodes"]]


@BOTH
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures(open_page, screenshots, name, dark):
    page = open_page(name, dark=dark)
    theme = "dark" if dark else "light"
    page.screenshot(screenshots / f"{name}-{theme}-top.png")
    page.run("scrollTo(0, document.querySelector('.bar').offsetTop)")
    for detail in DETAILS:
        choose(page, "detail", detail)
        page.screenshot(screenshots / f"{name}-{theme}-{detail.lower()}.png")
    choose(page, "detail", "Words")
    page.hover("#outcomes [data-outcome='1']")
    page.screenshot(screenshots / f"{name}-{theme}-lineage.png")
    page.away()
    page.click("#compare")
    page.screenshot(screenshots / f"{name}-{theme}-differences.png")
    page.click("#compare")
    page.run("document.querySelector('#diagram .number[data-round=\"5\"]').click()")
    page.hover("#diagram .label.delivered")
    page.screenshot(screenshots / f"{name}-{theme}-round.png")


def test_pictures_of_other_runs(open_page, screenshots):
    page = open_page(SMALL)
    page.click("#outcomes .absent")
    page.away()
    page.screenshot(screenshots / f"{SMALL}-missing.png")
    page = open_page("hostile", 1100, 700)
    page.screenshot(screenshots / "hostile.png")
    page = open_page(LARGE)
    choose(page, "runs", "hardest")
    for detail in DETAILS:
        choose(page, "detail", detail)
        page.run("scrollTo(0, 800)")
        page.screenshot(screenshots / f"{LARGE}-hard-{detail.lower()}.png")
    page.resize(390, 800)
    page.screenshot(screenshots / f"{LARGE}-narrow.png")
