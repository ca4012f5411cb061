"""Activity templates: what they say, what is refused when they are saved, and that no template costs or leaks anything."""

import time
from contextlib import suppress
from typing import Any

import pytest

from integrations.activity_templates import (
    BODY_LIMIT,
    DEFAULT_BODY,
    DEFAULT_TITLE,
    TEMPLATE_LIMIT,
    TITLE_LIMIT,
    body_of,
    problem_of,
    title_of,
)
from integrations.template_language import MOST_ANALYSIS, TEXT_LIMIT, VARIABLES, TemplateProblem, plain

pytestmark = pytest.mark.once
VALUES: dict[str, Any] = {
    **dict.fromkeys(VARIABLES, ""),
    "kind": "Call",
    "conversation_id": "call_1",
    "summary": "Ada likes tea.",
    "successful": True,
    "voicemail": False,
    "duration_seconds": 192,
    "sentiment": "Positive",
    "first_name": "Ada",
    "analysis": {"interests": "Tea", "score": 4, "tags": ["a", "b"], "items": "kept", "nothing": None},
}
LONG: dict[str, Any] = {
    **dict.fromkeys(VARIABLES, "word \n<" * (TEXT_LIMIT // 7)),
    "analysis": {f"field_{i}": "x" * TEXT_LIMIT for i in range(MOST_ANALYSIS)},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ kind }} with {{ first_name }}", "Call with Ada"),
        ("{{ summary|upper|truncate(5) }}", "ADA…"),
        ("{{ summary[:3] }}", "Ada"),
        ("{{ last_name|default('nobody') }}", "nobody"),
        ("{% if successful %}won{% else %}lost{% endif %}", "won"),
        ("{{ 'long' if duration_seconds > 60 else 'short' }}", "long"),
        ("{{ successful }}, {{ voicemail }}", "true, false"),
        ("{{ analysis.interests }}/{{ analysis['score'] }}/{{ analysis.tags|join(' + ') }}", "Tea/4/a + b"),
        ("{{ analysis.tags }}|{{ analysis.nothing }}|{{ analysis.not_there }}|{{ analysis.items }}", "a, b|||kept"),
        ("a{{ analysis.__class__ }}b{{ analysis['keys'] }}", "ab"),
        ("{% for name in analysis %}{{ loop.index }}{{ name }} {% endfor %}", "1interests 2score 3tags 4items 5nothing"),
        ("{% for name, value in analysis|items if value %}\n{{ name }}: {{ value }}\n{% endfor %}",
         "interests: Tea\nscore: 4\ntags: a, b\nitems: kept"),
        ("a\n{% if last_name %}\nb\n{% endif %}\nc", "a\nc"),
        ("a\r\n\r\n\r\n\r\nb  ", "a\n\nb"),
        ("{# {% if %}\n#}a{% raw %}{{ x }}{% endraw %}", "a{{ x }}"),
        ("<b>{{ '<i>' }}</b>", "<b><i></b>"),
        ("a\x00\x1b[31m\ud800b", "a[31mb"),
    ],
)  # fmt: skip
def test_a_template_says_what_it_is_meant_to(template: str, text: str) -> None:
    assert problem_of(template) is None
    assert body_of(template, VALUES) == text


def test_the_usual_words_are_templates_too() -> None:
    assert title_of(DEFAULT_TITLE, VALUES) == "Call call_1"
    assert body_of(DEFAULT_BODY, VALUES) == "Ada likes tea.\n\nSentiment: Positive\nConversation: call_1"
    assert body_of(DEFAULT_BODY, VALUES | {"summary": ""}).startswith("Sentiment: Positive\n")


@pytest.mark.parametrize("name", [name for name in VARIABLES if name != "analysis"])
def test_every_variable_of_the_help_may_be_used(name: str) -> None:
    assert problem_of(f"{{{{ {name} }}}}{{% if {name} %}}x{{% endif %}}") is None
    assert body_of(f"a{{{{ {name} }}}}", {name: "V"}) == "aV"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a\n{{ sumary }}", "Line 2: There is no variable “sumary”; did you mean “summary”?"),
        ("{{ phone }}", "Line 1: There is no variable “phone”; choose one from the list."),
        ("{{ summary|uper }}", "Line 1: There is no filter “uper”; did you mean “upper”?"),
        ("{% if kind is divisibleby 3 %}{% endif %}", "Line 1: There is no test “divisibleby”"),
        ("a\n\n{% if kind %}", "Line 3: Unexpected end of template."),
        ("{{ kind", "Line 1: "),
        ("{% boom %}", "Line 1: Encountered unknown tag 'boom'."),
        ("{{ summary ~ kind }}", "Line 1: Texts are not joined by ~"),
        ("{% set a = 1 %}", "Line 1: Nothing can be set"),
        ("{{ summary.upper }}", "Line 1: Only the analysis has parts"),
        ("{{ summary.upper() }}", "Line 1: Nothing can be called"),
        ("x" * (TEMPLATE_LIMIT + 1), "8,001 characters; at most 8,000"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line_and_what_to_do(template: str, words: str) -> None:
    problem = problem_of(template)
    assert problem is not None
    assert words in problem


# What a hostile operator, or one who pastes from anywhere, might save: reaching behind values, or costing without end.
HOSTILE = [
    "{{ summary.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ analysis.__class__.__init__.__globals__ }}",
    "{{ analysis['__class__']['__mro__'] }}", "{{ summary|attr('__class__') }}", "{{ [].__class__ }}", "{{ ().__len__ }}",
    "{{ '{0.__class__}'.format(summary) }}", "{{ '%s'|format(summary) }}", "{{ '%999999999d' % 1 }}",
    "{{ summary.format_map(analysis) }}", "{{ self._TemplateReference__context }}", "{{ cycler.__init__ }}", "{{ lipsum() }}",
    "{{ joiner }}", "{{ namespace }}", "{{ range }}", "{{ dict }}", "{{ config }}", "{{ request }}", "{{ caller }}",
    "{{ varargs }}", "{% for loop in analysis %}{% endfor %}",
    "{{ analysis|map(attribute='__class__')|list }}", "{{ analysis|groupby('x') }}", "{{ analysis|tojson }}",
    "{{ summary|pprint }}", "{{ summary|safe }}", "{{ summary|xmlattr }}", "{{ summary|random }}", "{{ summary|select('x') }}",
    "{{ 9**9**9**9 }}", "{{ 'a' * 999999999 }}", "{{ 'a'|center(999999999) }}", "{{ [0] * 999999999 }}",
    "{{ 'a'|indent(999999999) }}", "{{ summary|wordwrap(1, wrapstring=summary) }}", "{{ 1 // 0 }}", "{{ 1 + 1 }}",
    "{% for a in range(999999999) %}{% endfor %}", "{% for a in summary %}{% endfor %}", "{% for a in [1, 2] %}{% endfor %}",
    "{% for a in analysis %}{% for b in analysis %}{% endfor %}{% endfor %}",
    "{% for a in analysis recursive %}{{ loop(analysis) }}{% endfor %}", "{% for a in analysis|items|items %}{% endfor %}",
    "{% for a in analysis %}{{ loop.changed(a) }}{% endfor %}", "{% for a in analysis %}{{ loop.cycle }}{% endfor %}",
    "{% for a in analysis %}{{ loop._iterable }}{% endfor %}", "{{ loop.index }}", "{% for loop.index in analysis %}{% endfor %}",
    "{% set x = summary %}{% set x = x ~ x %}", "{% set ns.x = 1 %}", "{% set x %}{{ summary }}{% endset %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% call(x) m() %}{% endcall %}", "{% filter upper %}a{% endfilter %}",
    "{% include 'settings.py' %}", "{% import 'os' as os %}", "{% from 'os' import system %}", "{% extends 'base.html' %}",
    "{% block a %}{{ super() }}{% endblock %}", "{% with a = summary %}{{ a }}{% endwith %}", "{% do summary %}", "{% debug %}",
    "{% autoescape true %}{% endautoescape %}", "{{ {'a': 1} }}", "{{ summary|join(*analysis) }}",
    "{{ summary|join(**analysis) }}",
    "{{ summary[first_name] }}", "{{ analysis[first_name] }}", "{{ summary[duration_seconds:] }}", "{{ analysis.a.b }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "{{ " + "9" * 7000 + " }}", "{{ " + "not " * 1900 + "kind }}",
    "{{ summary" + "|upper" * 1300 + " }}", "{% if kind %}" * 260 + "{% endif %}" * 260, "{{ kind }}" * 700 + "{{",
    "{% for a in analysis %}" + "{{ a|upper }}" * 40 + "{% endfor %}", "{{ -" + "-" * 6000 + "1 }}",
]  # fmt: skip


@pytest.mark.parametrize("template", HOSTILE, ids=[one[:40] for one in HOSTILE])
def test_a_hostile_template_is_refused_at_once(template: str) -> None:
    begun = time.perf_counter()
    assert problem_of(template) is not None
    with pytest.raises(TemplateProblem):
        body_of(template, VALUES)
    assert time.perf_counter() - begun < 2


# The most expensive things that the language allows: as long as a template may be, on the longest values there are.
COSTLY = [
    "{{ transcript }}" * 480,
    "{{ summary|title|upper|lower|title|upper|lower|title|upper|lower|title|upper|lower }}" * 90,
    "{{ summary|replace('w', 'W') }}" * 250,
    "{% if 'zz' in transcript %}{% endif %}" * 200,
    "{{ analysis }}" * 500,
    "{% for a, b in analysis|items %}" + "{{ b|upper }}" * 8 + "{% endfor %}",
    "{% for a, b in analysis|items %}{% if b|upper|lower|upper|lower == a %}x{% endif %}{% endfor %}" * 3,
    "{{ analysis|items|join }}" * 200,
]


@pytest.mark.parametrize("template", COSTLY)
def test_the_costliest_template_is_bounded_in_time_and_length(template: str) -> None:
    assert problem_of(template) is None
    begun = time.perf_counter()
    with suppress(TemplateProblem):
        assert len(body_of(template, LONG)) <= BODY_LIMIT
    assert time.perf_counter() - begun < 3


@pytest.mark.parametrize(
    "template",
    ["{{ summary > 3 }}", "{{ summary|round }}", "{{ -kind }}", "{{ summary[::0] }}", "{{ duration_seconds[:3] }}",
     "{{ summary|truncate(kind) }}", "{{ summary|truncate(1, 2, 3, 4) }}", "{{ summary|upper(nothing=1) }}",
     "{{ transcript|replace('w', transcript) }}", "{% for a, b, c in analysis|items %}{% endfor %}"],
)  # fmt: skip
def test_what_fails_only_with_values_says_so_without_telling_them(template: str) -> None:
    values = VALUES | {"transcript": "w" * TEXT_LIMIT, "summary": "Secret 4711"}
    with pytest.raises(TemplateProblem) as caught:
        body_of(template, values)
    assert "does not fit this conversation" in str(caught.value)
    assert "4711" not in str(caught.value)


def test_a_title_is_one_short_line_and_never_blank() -> None:
    assert title_of(" {{ kind }}\n\n {{ summary }} ", VALUES) == "Call Ada likes tea."
    assert len(title_of("{{ transcript }}", VALUES | {"transcript": "x" * 9_000})) == TITLE_LIMIT
    with pytest.raises(TemplateProblem, match="blank"):
        title_of("{{ last_name }}", VALUES)


@pytest.mark.parametrize(
    ("found", "kept"),
    [(None, None), (True, True), (4.5, 4.5), ("x", "x"), ({"a": [1]}, '{"a": [1]}'),
     (["a", 1, None, True], ["a", "1", "", "true"])],
)  # fmt: skip
def test_analysis_values_are_texts_numbers_truths_or_lists(found: object, kept: object) -> None:
    assert plain(found) == kept


def test_analysis_values_are_bounded() -> None:
    assert len(plain("x" * 99_999)) == TEXT_LIMIT
    assert len(plain({"x": "x" * 99_999})) == TEXT_LIMIT
    assert sum(map(len, plain(["x" * 99_999] * 999))) <= TEXT_LIMIT
