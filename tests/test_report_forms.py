"""A report in its forms: hostile outputs act in none of them, the blind reserve is in none of them, and each is read back by a parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from markdown_it import MarkdownIt

from detent import report
from detent import visible as hidden
from detent.report import markdown
from detent.terms import Arm, Forecast, Range, Report, Slice, Verdict
from test_report import GOOD, case, lost, runs, screened, told

HOSTILE: dict[str, str] = {
    "script": '<script>alert(1)</script><img src=x onerror="alert(1)"><svg onload=alert(1)>',
    "close": "</pre></details></code></textarea></title></style><h1>PWNED</h1>",
    "attribute": "\" onmouseover=alert(1) x=\" ' onfocus='alert(1)",
    "link": '[click](javascript:alert(1)) ![x](http://evil.example/x.png) <a href="http://evil.example">x</a> http://evil.example',
    "cdata": "]]> <![CDATA[ &lol; <!DOCTYPE x [<!ENTITY lol 'lol'>]>",
    "ansi": "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\x07link\x07 \x9b31m",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth \U000e0041tag",
    "controls": "NUL \x00 BEL \x07 DEL \x7f VT \x0b CR \r FFFE \ufffe FFFF \uffff",
    "surrogates": "half \ud800 and \udfff",
    "mention": "@team please fix #1 and GH-2, cc @org/owners",
    "ticks": "` `` ``` ```` `````` ~~~~",
    "fence": "````diff\n+ x\n````\n\n# heading\n\n<details>\n| a | b |",
    "long": "A" * 200_000,
    "deep": "[" * 5_000,
}


def hostile() -> Report:
    """Every prompt, output, change, stratum, pin, id and cause in it is an attack."""
    cases, made = [], []
    for name, text in HOSTILE.items():
        id = f"ca_{name} {text[:40]}"
        cases.append(case(id, text, text, strata={"task": text[:50], text[:20]: "x"}, pinned=text[:100]))
        made += lost(id, "fence_added", output=f"{text} and more {text}", good=text, failed_checks=(f"own {text[:40]}",))
    found = told(cases, made)
    bad = "".join(HOSTILE[name] for name in ("script", "mention", "ansi", "ticks"))
    evidence = replace(
        found.evidence,
        slices=(
            *found.evidence.slices[:3],
            Slice(name=bad, cases=1, stable=1, candidate=0, difference=-1, low=-1, high=-0.5, p_value=0.001, harmed=True),
        ),
        stale=(bad,),
    )
    return replace(found, sentence=bad, judge=bad, owner=bad, evidence=evidence)


@pytest.fixture(scope="module")
def attacked() -> Report:
    return hostile()


@pytest.fixture(scope="module")
def plain() -> Report:
    """One lost prompt, one suspect, one of each calmer kind, and two of the blind reserve."""
    cases = [
        case("ca_1", "What is the total?", strata={"task": "extract", "lang": "en"}, weight=3.0),
        case("ca_2", "Is it open?", strata={"task": "ask", "lang": "en"}),
        case("ca_3", "Write it out", strata={"task": "ask", "lang": "de"}),
        case("ca_4", strata={"task": "extract", "lang": "de"}),
        case("ca_5", "again", strata={"task": "ask", "lang": "en"}),
        *(case(f"ca_r{n}", "RESERVE-MARKER", "RESERVE-MARKER", reserve=True, strata={"task": "RESERVE-MARKER"}) for n in range(2)),
    ]
    made = [
        *lost("ca_1", "fence_added", "json_broken", failed_checks=("json_valid",)),
        *screened("ca_2", 10, 3, "fence_added"),
        *screened("ca_3", 5, 3, output=GOOD),
        *screened("ca_4", 10, 3, output=GOOD),
        *screened("ca_5", 10, 3)[:10],
        *(replace(run, passed=None, error="HTTP 529") for run in runs("ca_5", Arm.CANDIDATE, "screen", 6, 0, "")),
        *lost("ca_r0", "fence_added", output="RESERVE-MARKER```", good="RESERVE-MARKER", failed_checks=("json_valid",)),
        *screened("ca_r1", 10, 3, output="RESERVE-MARKER"),
    ]
    found = told(cases, made)
    tokens, before, now = Range(1, 2, 3), Range(40, 44, 48), Range(48, 53, 58)
    costs = Forecast(calls=0, most_calls=0, input_tokens=tokens, output_tokens=tokens, stable_usd_per_day=before, candidate_usd_per_day=now)
    return replace(found, forecast=costs)


# ── every form ──


@pytest.mark.parametrize("form", report.FORMS)
def test_no_form_shows_the_blind_reserve(form: str, plain: Report) -> None:
    text = report.FORMS[form].write(plain)
    assert plain.withheld == 2
    assert "RESERVE" not in text
    assert "ca_r" not in text


@pytest.mark.parametrize("form", report.FORMS)
def test_what_models_wrote_acts_on_no_terminal_and_no_editor(form: str, attacked: Report) -> None:
    text = report.FORMS[form].write(attacked)
    text.encode()  # no half of a surrogate pair is left
    own = {"\u200b"} if form == "markdown" else set()  # it keeps `@` and a name apart
    assert set(hidden.HIDDEN.findall(text)) <= own
    assert len(text) < 7_000_000


@pytest.mark.parametrize("form", report.FORMS)
def test_a_report_without_any_prompt_is_still_a_report(form: str) -> None:
    text = report.FORMS[form].write(told([], []))
    assert text.endswith("\n")
    assert re.search("could.not.run", text, re.IGNORECASE)


def test_hidden_characters_are_spelt_out_and_nothing_else_is_touched() -> None:
    assert hidden.visible("a\tb\nc \x1b[0m \u202e \x00 é 日本") == "a\tb\nc \\x1b[0m \\u202e \\x00 é 日本"
    assert hidden.visible("a\tb\nc", one_line=True) == "a\\tb\\nc"
    assert hidden.cut("x" * 100, 200) == "x" * 100
    assert hidden.cut("a" * 600 + "b" * 600, 300) == "a" * 200 + "\n[... 900 characters left out ...]\n" + "b" * 100


# ── text ──


def test_the_terminal_hears_the_verdict_the_cause_and_the_diff(plain: Report) -> None:
    text = report.FORMS["text"].write(plain)
    lines = text.splitlines()
    assert lines[0] == "REGRESSION  summarizer: openai/atlas-2026-03-01 -> openai/atlas-2026-06-01"
    assert "2 confirmed negative flips among 7 prompts" in lines[1]
    assert "blind reserve: 2 prompts counted and not shown" in lines
    assert ["2", "3", "code", "fence", "added", "ca_1"] in [row.split() for row in lines]
    assert "1. ca_1: lost (stands for 3 exchanges)" in lines
    assert "   stable passed 20 of 20, candidate 0 of 20 (p = 7.25e-12)" in lines
    assert '   | {+```json\n   | +}{"total": 12.5}{+\n   | ```+}' in text
    assert lines[-1] == (
        "all of it: detent baseline diff summarizer --version atlas-2026-06-01 --form html --out report.html; one prompt: --case ID"
    )


def test_ten_are_shown_and_the_others_counted() -> None:
    names = [f"ca_{n:02}" for n in range(13)]
    text = report.FORMS["text"].write(told([case(name) for name in names], [run for name in names for run in lost(name, "fence_added")]))
    assert "10. ca_09: lost" in text
    assert "ca_10: lost" not in text
    assert "3 prompts more to look at; all of it: detent baseline diff" in text


# ── html ──

VOID = {"meta", "input", "line", "circle"}


class Page(HTMLParser):
    """What a browser would make of it, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def attributes(self, name: str) -> Iterator[str]:
        return (value or "" for _, attrs in self.tags for key, value in attrs.items() if key == name)


ELEMENTS = """
    html head meta title style body header main section footer h1 h2 h3 h4 p b i a ul li dl dt dd div span code pre
    table thead tbody tr th td svg line circle fieldset legend input label details summary del ins
"""


@pytest.mark.parametrize("which", ["plain", "attacked"])
def test_the_page_is_whole_and_holds_only_what_we_put_there(which: str, request: pytest.FixtureRequest) -> None:
    page = Page(report.FORMS["html"].write(request.getfixturevalue(which)))
    assert (page.wrong, page.open) == ([], []), "every element is closed where it should be"
    assert {tag for tag, _ in page.tags} <= {*ELEMENTS.split()}
    assert all(link.startswith("#") for link in page.attributes("href")), "no link leads out of the page"
    assert not any(key.startswith("on") or key in {"src", "srcset", "style", "action"} for _, attrs in page.tags for key in attrs)
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href")} <= set(ids), "every link leads somewhere"
    assert set(page.attributes("for")) <= set(ids)


def test_the_page_may_load_and_run_nothing(plain: Report) -> None:
    text = report.FORMS["html"].write(plain)
    page = Page(text)
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert "url(" not in text
    assert "@import" not in text
    assert text.index("Content-Security-Policy") < text.index("<title>"), "before anything that could quote an output"


def test_an_attack_is_there_to_read_as_text(attacked: Report) -> None:
    text = "".join(Page(report.FORMS["html"].write(attacked)).text)
    assert HOSTILE["script"] in text
    assert HOSTILE["close"] in text
    assert "\\u202egnp.exe" in text
    assert "characters left out" in text


def test_headings_go_down_a_step_at_a_time_and_changes_are_marked_by_signs_too(plain: Report) -> None:
    text = report.FORMS["html"].write(plain)
    levels = [int(tag[1]) for tag, _ in Page(text).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert "<ins><i>{+</i>```json\n<i>+}</i></ins>" in text


def test_strata_are_filtered_without_a_script(plain: Report) -> None:
    text = report.FORMS["html"].write(plain)
    labels = dict(re.findall(r'<label for="(f\d+)">([^<]*)</label>', text))
    (extract,) = [id for id, label in labels.items() if label == "task=extract (2, 1 lost)"]
    assert f"body:has(#{extract}:checked) .case:not(.s{extract[1:]}) {{ display: none; }}" in text
    assert re.search(
        rf'<details class="case [^"]*s{extract[1:]}\b[^"]*"[^<]*<summary>(?:(?!<details).)*? id="case-ca-5f-1"', text, re.DOTALL
    )


def luminance(color: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


PAIRS = [("ink", "paper"), ("ink", "card"), ("ink", "calm-bg"), ("soft", "paper"), ("soft", "card"), ("soft", "calm-bg"), ("link", "paper")]
PAIRS += [
    ("link", "card"),
    ("bad", "bad-bg"),
    ("warn", "warn-bg"),
    ("good", "good-bg"),
    ("del", "del-bg"),
    ("ins", "ins-bg"),
    ("esc", "calm-bg"),
]
PAIRS += [
    ("ink", "bad-bg"),
    ("ink", "warn-bg"),
    ("ink", "good-bg"),
    ("bad", "card"),
    ("warn", "card"),
    ("good", "card"),
    ("esc", "ins-bg"),
    ("esc", "del-bg"),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_everybody_can_read_it(ink: str, ground: str, scheme: int) -> None:
    """WCAG 2.1, 1.4.3: text stands out from its ground by 4.5 : 1 at least."""
    from detent.report.style import CSS

    light, dark = CSS.split("@media (prefers-color-scheme: dark)")
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", (light, dark)[scheme]))
    one, other = sorted((luminance(colors[ink]), luminance(colors[ground])))
    assert (other + 0.05) / (one + 0.05) >= 4.5


# ── markdown ──


def test_the_pull_request_hears_the_verdict_first(plain: Report) -> None:
    lines = report.FORMS["markdown"].write(plain).splitlines()
    assert lines[0] == "## \N{CROSS MARK} Regression: `summarizer`"
    assert lines[2] == "`openai/atlas-2026-03-01` \N{RIGHTWARDS ARROW} `openai/atlas-2026-06-01`"
    assert "| 2 | 3 | `code fence added` | `ca_1` |" in lines
    assert "<details><summary>lost: <code>What is the total?</code> (<code>ca_1</code>)</summary>" in lines
    assert lines[lines.index("````diff") :][:7] == ["````diff", "@@ -1 +1,3 @@", "+```json", f" {GOOD}", "+```", "````", ""]


def rendered(report_: Report) -> str:
    """As GitHub would make it, with the HTML that its sanitiser lets through."""
    return str(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(report.FORMS["markdown"].write(report_)))


def test_markdown_quotes_attacks_and_obeys_none(attacked: Report) -> None:
    page = Page(rendered(attacked))
    assert page.wrong == []
    allowed = "h2 h3 p strong code pre ul li table thead tbody tr th td details summary"
    assert {tag for tag, _ in page.tags} <= {*allowed.split()}
    outside = re.sub(r"<code.*?</code>", "", rendered(attacked), flags=re.DOTALL)
    assert not re.search(r"@\w", outside), "nobody is mentioned"
    assert not re.search(r"(?<![&\w])#\d", outside), "no issue is referred to"
    assert not re.search(r"https?://", outside)


@pytest.mark.parametrize("text", ["a ` b *c* @team", "``", "`", "| x | <b>", "``` ```` @team", "\\", " spaced ", "a\nb"])
def test_a_code_span_shows_any_text_and_ends_where_we_say(text: str) -> None:
    page = Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"before {markdown.code(text)} after"))
    assert [tag for tag, _ in page.tags] == ["p", "code"]
    assert "".join(page.text).split() == ["before", *text.split(), "after"]


def test_a_comment_has_room_for_it() -> None:
    names = [f"ca_{n}" for n in range(12)]
    long = "\n".join("`" * 50 + f"<{n}>" * 40 for n in range(500))
    found = told(
        [case(name, long, long) for name in names], [r for name in names for r in lost(name, "fence_added", output=long[::-1], good=long)]
    )
    text = report.FORMS["markdown"].write(found)
    assert len(text) <= 60_000
    assert text.count("<details>") == text.count("</details>")
    assert re.search(r"\d+ prompts? more to look at; all of it:", text)


# ── junit ──


@pytest.mark.parametrize("which", ["plain", "attacked"])
def test_junit_follows_the_usual_schema(which: str, request: pytest.FixtureRequest) -> None:
    """As the schemas of Jenkins and GitLab have it: counts that agree, required attributes, known elements, in their order."""
    root = ET.fromstring(report.FORMS["junit"].write(request.getfixturevalue(which)))
    assert root.tag == "testsuites"
    (suite,) = root
    assert set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}
    assert [child.tag for child in suite] == ["properties"] + ["testcase"] * int(suite.get("tests", ""))
    for test in suite.iter("testcase"):
        assert test.get("classname")
        assert test.get("name")
        assert [child.tag for child in test] in ([], ["failure"], ["error"], ["skipped"], ["skipped", "system-out"])
    for element, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(name) == root.get(name) == str(len(list(suite.iter(element))))
    assert all(failure.get("message") and failure.get("type") for failure in suite.iter("failure"))


def test_failed_is_confirmed_and_skipped_is_inconclusive(plain: Report) -> None:
    suite = ET.fromstring(report.FORMS["junit"].write(plain))[0]
    became = {test.get("name"): [child.tag for child in test] for test in suite.iter("testcase")}
    assert became == {
        "the whole baseline": ["failure"],
        "blind reserve (2 prompts, not shown)": ["failure"],
        "ca_1: What is the total?": ["failure"],
        "ca_5: again": ["skipped", "system-out"],
        "ca_3: Write it out": [],
        "ca_2: Is it open?": [],
        "ca_4: What is the total?": [],
    }
    (failure,) = [f for f in suite.iter("failure") if f.get("type") == "fence_added"]
    assert failure.get("message") == (
        "lost: right before, wrong now: confirmed by fresh runs of both versions; stable passed 20 of 20, candidate 0 of 20 (p = 7.25e-12)"
    )
    assert "{+```json" in (failure.text or "")


@pytest.mark.parametrize(("verdict", "tags"), [(Verdict.PASS, []), (Verdict.INCONCLUSIVE, ["skipped"]), (Verdict.COULD_NOT_RUN, ["error"])])
def test_only_a_pass_passes(verdict: Verdict, tags: list[str], plain: Report) -> None:
    suite = ET.fromstring(report.FORMS["junit"].write(replace(plain, verdict=verdict)))[0]
    assert [child.tag for child in next(suite.iter("testcase"))] == tags


# ── sarif ──


@pytest.mark.parametrize("which", ["plain", "attacked"])
def test_sarif_has_what_the_standard_requires(which: str, request: pytest.FixtureRequest) -> None:
    """SARIF 2.1.0: version and runs (3.13), tool.driver.name (3.18, 3.19), unique rule ids (3.49.3), message.text (3.11), known values."""
    log = json.loads(report.FORMS["sarif"].write(request.getfixturevalue(which)))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert run["tool"]["driver"]["name"] == "detent"
    assert len(rules) == len(set(rules))
    assert all(rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"])
    assert all(isinstance(invocation["executionSuccessful"], bool) for invocation in run["invocations"]), "required by 3.20.14"
    assert run["results"]
    for result in run["results"]:
        assert result["ruleId"] == rules[result["ruleIndex"]]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["baselineState"] in {"new", "unchanged", "updated", "absent"}
        assert result["message"]["text"]
        assert result["partialFingerprints"]["detentCase/v1"]
        (location,) = result["locations"]
        assert location["logicalLocations"][0]["fullyQualifiedName"].startswith("summarizer/")
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "detent.toml"


def test_sarif_says_how_each_prompt_stands_to_the_stable_version(plain: Report) -> None:
    hopeless = replace(plain.cases[-1], id="hopeless", stable_passed=0, candidate_passed=0, stable_runs=10, candidate_runs=3)
    (run,) = json.loads(report.FORMS["sarif"].write(replace(plain, cases=(*plain.cases, hopeless))))["runs"]
    stands = {r["partialFingerprints"]["detentCase/v1"]: (r["ruleId"], r["level"], r["baselineState"]) for r in run["results"]}
    assert stands == {
        "ca_1": ("fence_added", "error", "new"),
        "ca_5": ("not_scored", "warning", "new"),
        "ca_3": ("won", "note", "absent"),
        "ca_2": ("fence_added", "note", "new"),
        "hopeless": ("same", "note", "unchanged"),
    }


# ── json ──


@pytest.mark.parametrize("which", ["plain", "attacked"])
def test_json_follows_its_schema_and_has_whole_outputs(which: str, request: pytest.FixtureRequest) -> None:
    found: Report = request.getfixturevalue(which)
    text = report.FORMS["json"].write(found)
    value = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(report.schema())
    jsonschema.validate(value, report.schema())
    assert text.isascii()
    assert (value["form"], value["version"]) == ("detent report", 1)
    assert [shown["candidate_output"] for shown in value["cases"]] == [shown.candidate_output for shown in found.cases]


def test_the_schema_refuses_what_is_no_report(plain: Report) -> None:
    good: dict[str, Any] = json.loads(report.FORMS["json"].write(plain))
    for bad in ({**good, "verdict": "fine"}, {**good, "version": 2}, {k: v for k, v in good.items() if k != "cases"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, report.schema())


def test_a_number_that_is_none_is_null(plain: Report) -> None:
    found = replace(plain, evidence=replace(plain.evidence, content_stable=float("nan")))
    assert json.loads(report.FORMS["json"].write(found))["evidence"]["content_stable"] is None
