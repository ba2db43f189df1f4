"""What expressions of n8n mean here."""

from __future__ import annotations

import pytest

from app.flows.mapping.template import compile_template
from app.imports.flows.expressions.meaning import translate
from app.imports.flows.places import Delivery, Plain, Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.values import Ref, written

SEEN = Seen(Plain(Ref("s1")), {"X": Plain(Ref("s2")), "Hook": Delivery()}, {"X": {"rows": [{"value": 7}]}})
STARTED = "run:$['started_at']"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$json", "{{s1}}"),
        ("$json.a.b", "{{s1:$['a']['b']}}"),
        ("$json?.a?.['b c'][0]", "{{s1:$['a']['b c'][0]}}"),
        ("$node['X'].json['a']", "{{s2:$['a']}}"),
        ("$node.X.json.a", "{{s2:$['a']}}"),
        ("$('X').item.json.a", "{{s2:$['a']}}"),
        ("$('X').first().json.a", "{{s2:$['a']}}"),
        ("$('X').all()[0].json.a", "{{s2:$['a']}}"),
        ("$items('X')[0].json.a", "{{s2:$['a']}}"),
        ("$input.first().json.a", "{{s1:$['a']}}"),
        ("$('X').params.rows[0].value", "7"),
        ("$('Hook').item.json.body.email", "{{trigger:$['email']}}"),
        ("$('Hook').item.json.headers['X-Id']", "{{delivery:$['headers']['x-id']}}"),
        ("$json.a || 'none'", "{{s1:$['a'] | default:\"none\"}}"),
        ("$json.a ?? 'none'", "{{s1:$['a'] | default:\"none\"}}"),
        ("$json.a ? $json.a : 'none'", "{{s1:$['a'] | default:\"none\"}}"),
        ("$json.a ? 'yes' : 'no'", '{{s1:$[\'a\'] | default:"false" | yes_no:"yes","no"}}'),
        ("$json.a === 'x' ? 'X' : 'Y'", '{{s1:$[\'a\'] | lookup:"x=X;*=Y" | default:"Y"}}'),
        ("!$json.a", "{{s1:$['a'] | not}}"),
        ("`Hi ${$json.name}!`", "Hi {{s1:$['name']}}!"),
        ("'Hi ' + $json.name + '!'", "Hi {{s1:$['name']}}!"),
        ("$json.a + 1", "{{s1:$['a'] | add:\"1\"}}"),
        ("$json.a * 100", "{{s1:$['a'] | multiply:\"100\"}}"),
        ("$json.mail.toLowerCase().trim()", "{{s1:$['mail'] | lower | trim}}"),
        ("$json.a.replaceAll('-', '')", '{{s1:$[\'a\'] | replace:"-",""}}'),
        ("$json.a.split('@')[1]", '{{s1:$[\'a\'] | split:"@" | pick:"2"}}'),
        ("$json.a.slice(0, 16)", '{{s1:$[\'a\'] | substring:"1","16"}}'),
        ("$json.a.slice(-4)", "{{s1:$['a'] | substring:\"-4\"}}"),
        ("$json.a.length", "{{s1:$['a'] | length}}"),
        ("$json.a.match(/#(\\d+)/)[1]", '{{s1:$[\'a\'] | match:"#(\\\\d+)","1"}}'),
        ("$json.list.map(i => i.name).join(', ')", "{{s1:$['list'][*]['name'] | join:\", \"}}"),
        ("JSON.stringify($json.a)", "{{s1:$['a'] | json}}"),
        ("JSON.parse($json.a).b.c", '{{s1:$[\'a\'] | from_json | inside:"b" | inside:"c"}}'),
        ("encodeURIComponent($json.a)", "{{s1:$['a'] | url_encode}}"),
        ("$now", "{{" + STARTED + "}}"),
        ("$now.toISO()", "{{" + STARTED + " | iso_date}}"),
        ("$now.plus({ hours: 1 }).toISO()", "{{" + STARTED + ' | add_time:"1","hours" | iso_date}}'),
        ("$now.minus(7, 'days').toFormat('dd.MM.yyyy')",
         "{{" + STARTED + ' | add_time:"-7","days" | date:"%d.%m.%Y"}}'),
        ("$today.toISODate()", "{{" + STARTED + ' | date:"iso"}}'),
        ("$now.setZone('Europe/Berlin').toFormat('HH:mm')",
         "{{" + STARTED + ' | date:"%H:%M","Europe/Berlin"}}'),
        ("new Date($json.at).toISOString()", "{{s1:$['at'] | iso_date}}"),
        ("DateTime.fromISO($json.at).toFormat('yyyy')", "{{s1:$['at'] | date:\"%Y\"}}"),
        ("$execution.id", "{{run:$['id']}}"),
        ("$workflow.name", "{{run:$['flow']}}"),
        ("{ a: 1, b: ['x'] }",
         '{{run:$[\'nothing\'] | default:"{\\"a\\": 1, \\"b\\": [\\"x\\"]}" | from_json}}'),
        ("false", "false"),
    ],
)  # fmt: skip
def test_an_expression_becomes_a_template(text: str, wanted: str) -> None:
    found = written(translate(text, SEEN).value)
    assert found == wanted
    compile_template(found)


def test_a_stand_in_that_is_data_becomes_the_default_of_the_field() -> None:
    found = translate("$json.a || $json.b", SEEN)
    assert (written(found.value), written(found.default)) == ("{{s1:$['a']}}", "{{s1:$['b']}}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$('Later').item.json.a", "It looks at 'Later', which does not come before this step."),
        ("$env.KEY", "It reads a variable of the other installation; write its value here."),
        ("$binary.data.fileName", "It is about a file; files are not passed from step to step here."),
        ("(() => { return 1 })()", "It is a program, not a value."),
        ("$json[$json.key]", "Which field it takes depends on the data."),
        ("$json.a.reduce((a, b) => a + b)", "There is no function like 'reduce' here."),
        ("$json.a > 3", "It compares; here a filter or paths do that."),
        ("$json.a - $json.b", "It calculates with two values of the data."),
        ("$json.a.replace(/[a-z]+/g, '')", "It replaces by a pattern."),
        ("$json.", "It ends too early."),
        ("", "There is nothing in it."),
    ],
)
def test_what_has_no_counterpart_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(NotCarried) as refused:
        translate(text, SEEN)
    assert refused.value.reason == reason
