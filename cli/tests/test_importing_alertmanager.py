"""Alertmanager's file: what it says becomes a document, and what does not is said with its line."""

from pathlib import Path

import pytest
from mainstay_cli.importing.alertmanager import read_alertmanager
from mainstay_cli.importing.alertmanager_matchers import Matcher, joined, without
from mainstay_cli.importing.drafts import Draft, Unreadable, env_file
from mainstay_cli.importing.lined import DEEPEST
from tests.test_importing import by_name, lists_of

FOLDER = Path("/etc/alertmanager")
DEBIAN = Path("/etc/prometheus/alertmanager.yml")
KEY = "0123456789abcdef0123456789ABCDEF"
BOT = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
HOOK = "https://hooks.slack.com/services/T1/B1/slack-secret"
FILE = f"""\
global:
  resolve_timeout: 5m
  slack_api_url: {HOOK}
  smtp_smarthost: mail.shop.example:587
  smtp_from: alertmanager@shop.example
  smtp_auth_password: mail-secret
  opsgenie_api_key: opsgenie-secret
  victorops_api_key: victorops-secret
templates: [/etc/alertmanager/*.tmpl]
route:
  receiver: team
  group_by: [alertname, cluster]
  repeat_interval: 1d12h
  routes:
    - receiver: nobody
      matchers: [alertname="Watchdog"]
    - receiver: log
      continue: true
    - receiver: pager
      match: {{severity: critical}}
      match_re: {{service: "db|api"}}
      group_by: ["..."]
    - receiver: team
      matchers: ['{{team=web, "tier" =~ "a,b"}}', note!="say \\"hi\\""]
      mute_time_intervals: [nights, holidays]
      active_time_intervals: [office]
      group_wait: 10s
    - receiver: chat
      matchers: [team="chat"]
inhibit_rules:
  - source_match: {{severity: critical}}
    target_match_re: {{severity: "warning|info"}}
    equal: [cluster]
  - source_matchers: []
    target_matchers: [severity="info"]
time_intervals:
  - name: nights
    time_intervals:
      - weekdays: ["monday:friday"]
        times:
          - {{start_time: "00:00", end_time: "06:30"}}
          - {{start_time: "22:00", end_time: "24:00"}}
        location: Europe/Berlin
  - name: holidays
    time_intervals:
      - {{months: ["december"], days_of_month: ["24:26"]}}
  - name: office
    time_intervals:
      - {{weekdays: ["monday:friday"], location: Europe/Berlin}}
receivers:
  - name: nobody
  - name: log
    webhook_configs:
      - url: https://log.shop.example/hook-secret
        send_resolved: false
        http_config: {{basic_auth: {{username: u, password: basic-secret}}}}
  - name: pager
    pagerduty_configs:
      - routing_key: {KEY}
        description: "{{{{ .CommonLabels.alertname }}}}"
    opsgenie_configs:
      - priority: P1
    victorops_configs:
      - routing_key: ops
  - name: team
    email_configs:
      - to: "Web <web@shop.example>, ops@shop.example"
        headers: {{subject: hello}}
    slack_configs:
      - channel: "#web"
        title: hello
  - name: chat
    slack_configs:
      - channel: "#chat"
        api_url_file: secrets/it's
    telegram_configs:
      - {{bot_token: "{BOT}", chat_id: -100123, message_thread_id: 7}}
    msteamsv2_configs:
      - webhook_url: ${{TEAMS_URL}}
    discord_configs:
      - webhook_url: https://discord.com/api/webhooks/1/discord-secret
  - name: spare
    webhook_configs:
      - url: https://user:url-secret@spare.shop.example/
      - url: https://mainstay.example/alertmanager/shop/webhook
      - url: https://spare.shop.example/
"""


@pytest.fixture
def draft() -> Draft:
    return read_alertmanager(FILE, folder=FOLDER)


def tiny(route: str = "", more: str = "") -> str:
    return f"route:\n  receiver: a\n{route}receivers: [{{name: a}}]\n{more}"


def test_receivers_become_channels_of_the_project(draft: Draft) -> None:
    channels = by_name(lists_of(draft)["alertChannels"])
    assert set(channels) == {
        *("log", "pager pagerduty", "pager apprise", "team email", "team email (2)", "team slack"),
        *("chat slack", "chat telegram", "chat teams", "chat discord", "spare"),
    }
    assert not any("instance" in each for each in channels.values())
    assert channels["log"]["config"]["format"] == "alertmanager"
    assert channels["team email"]["config"] == {"email": "web@shop.example"}
    telegram = channels["chat telegram"]["config"]
    assert (telegram["chatId"], telegram["topicId"]) == ("-100123", "7")
    assert channels["chat teams"]["config"] == {"webhookUrl": "${TEAMS_URL}"}
    assert {name for name, each in channels.items() if each.get("enabled") is False} == {"spare"}


def test_no_secret_is_in_the_document_or_in_what_is_said(draft: Draft) -> None:
    said = draft.text(project="shop", source="alertmanager.yml") + "\n".join(draft.notes)
    for secret in (KEY, BOT, HOOK, "-secret"):
        assert secret not in said
    assert draft.secrets["TEAM_SLACK_CONFIG_WEBHOOK_URL"] == HOOK
    assert draft.secrets["PAGER_APPRISE_CONFIG_URL"] == "opsgenie://opsgenie-secret"
    kept = draft.kept_in_files["CHAT_SLACK_CONFIG_WEBHOOK_URL"]
    assert kept.file == "/etc/alertmanager/secrets/it's"
    line = (
        "export CHAT_SLACK_CONFIG_WEBHOOK_URL=''\"$(cat '/etc/alertmanager/secrets/it'\\''s')\"\n"
    )
    assert env_file({}, draft.kept_in_files) == line


def test_the_tree_becomes_rows_that_say_how_they_are_told(draft: Draft) -> None:
    routes = lists_of(draft)["alertRoutes"]
    assert [(each.get("matchers", ""), each["channels"]) for each in routes] == [
        ('alertname="Watchdog"', []),
        ("", ["log"]),
        ('severity="critical",service=~"db|api"', ["pager apprise", "pager pagerduty"]),
        (
            'team="web",tier=~"a,b",note!="say \\"hi\\""',
            ["team email", "team email (2)", "team slack"],
        ),
        ('team="chat"', ["chat discord", "chat slack", "chat teams", "chat telegram"]),
        ("", []),
    ]
    assert [each["name"] for each in routes if each.get("continue")] == ["everything"]
    assert routes[-1]["name"] == "end of everything"
    pages, web = routes[2], routes[3]
    assert (pages["groupBy"], pages["waitSeconds"], pages["intervalSeconds"]) == ([], 0, 0)
    assert (web["groupBy"], web["waitSeconds"]) == (["alertname", "cluster"], 10)
    assert (web["intervalSeconds"], web["repeatSeconds"]) == (300, 36 * 3600)
    assert web["muteTimes"] == "Mon-Fri 00:00-06:30, Mon-Fri 22:00-24:00, Sat-Sun"
    assert web["timeZone"] == "Europe/Berlin"


def test_what_mutes_what_keeps_its_sides(draft: Draft) -> None:
    (rule,) = lists_of(draft)["alertInhibitions"]
    assert (rule["source"], rule["target"]) == ('severity="critical"', 'severity=~"warning|info"')
    assert rule["equal"] == ["cluster"]


def test_a_receiver_of_the_same_target_shares_its_channel() -> None:
    hook = "slack_configs: [{api_url: 'https://hooks.slack.com/services/T/B/x'}]"
    text = f"""\
route: {{receiver: a, routes: [{{receiver: b, matchers: [x="1"]}}]}}
receivers:
  - {{name: a, {hook}}}
  - {{name: b, {hook}}}
"""
    draft = read_alertmanager(text, folder=FOLDER)
    lists = lists_of(draft)
    assert [each["channels"] for each in lists["alertRoutes"]] == [["b"], ["b"]]
    assert "is told through the channel 'b', which has the same target" in "\n".join(draft.notes)


def test_a_bot_of_slack_stays_a_bot() -> None:
    text = """\
global: {slack_api_url: "https://slack.com/api/chat.postMessage"}
route: {receiver: a}
receivers:
  - name: a
    slack_configs:
      - channel: "#alerts"
        http_config: {authorization: {credentials_file: token}}
"""
    draft = read_alertmanager(text, folder=FOLDER)
    (channel,) = lists_of(draft)["alertChannels"]
    assert channel["config"] == {"botToken": "${A_CONFIG_BOT_TOKEN}", "channel": "#alerts"}
    assert draft.kept_in_files["A_CONFIG_BOT_TOKEN"].file == "/etc/alertmanager/token"


def test_of_too_many_channels_those_that_alerts_reach_come_first() -> None:
    one = "- {name: r%d, webhook_configs: [{url: 'https://hooks.example/%d'}]}"
    names = "\n".join("  " + one % (number, number) for number in range(25))
    text = f"route: {{receiver: r24}}\nreceivers:\n{names}\n"
    draft = read_alertmanager(text, folder=FOLDER)
    channels = lists_of(draft)["alertChannels"]
    assert len(channels) == 20
    assert channels[0] == {
        "name": "r24",
        "type": "webhook",
        "config": {"webhookUrl": "${R24_CONFIG_WEBHOOK_URL}", "format": "alertmanager"},
    }
    assert sum("is left out: a project has at most 20" in note for note in draft.notes) == 5


def test_debian_s_own_file_says_which_of_its_routes_lead_nowhere() -> None:
    draft = read_alertmanager(DEBIAN.read_text(), folder=FOLDER)
    assert len(lists_of(draft)["alertRoutes"]) == 8
    said = "\n".join(draft.notes)
    assert "pagerduty: is left out: its service_key is none that Mainstay takes" in said
    assert "route to team-DB-pager: NOBODY is told by it: nothing of its receiver" in said


def test_what_cannot_come_is_said_with_its_line_and_what_to_do(draft: Draft) -> None:
    said = "\n".join(draft.notes)
    for about in (
        "line 2, global: resolve_timeout: an alert is over when",
        "global: not taken over: victorops_api_key",
        "line 9, templates: messages are worded by Mainstay",
        "receiver log, webhook: told of no ends",
        "receiver log, webhook: http_config: Mainstay sends without it",
        "receiver pager, pagerduty: not taken over, since messages are worded by Mainstay: desc",
        "receiver pager, opsgenie: goes through Apprise: needs MAINSTAY_ALERTS_APPRISE",
        "receiver pager, victorops: is left out, no channel speaks to it; add an Apprise channel",
        "receiver team, slack: an incoming webhook writes to the channel it was made for",
        "receiver spare: no alert reaches it",
        "receiver spare, webhook: is left out: its url is none that Mainstay takes",
        "receiver spare, webhook: is left out: it tells a Mainstay",
        "route to nobody: told to nobody, as there",
        "route to pager: group_by ...: alerts are told one by one",
        "mute_time_intervals: line 46, a week has no days_of_month; it is told then too: plan",
        "line 34, inhibit rule: one side takes all alerts",
        "mail: leaves through Mainstay's own mail server",
        "silences: stay there; amtool silence export",
    ):
        assert about in said, about


def test_matchers_are_joined_and_turned_round_without_overlap() -> None:
    a, b, other = Matcher("a", "=", "1"), Matcher("b", "=~", "x|y"), Matcher("a", "=", "2")
    assert joined([a], [b], [a]) == (a, b)
    assert joined([a], [other]) is None
    assert joined([b], [b.opposite]) is None
    assert joined([a, other.opposite]) == (a,)
    assert without([()], (a, b)) == [(a.opposite,), (a, b.opposite)]
    assert without([(other,)], (a,)) == [(other,)]
    assert without([(a,)], ()) == []


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
DEEP = "route:\n  receiver: a\n  routes: " + "[{routes: " * DEEPEST + "[]" + "}]" * DEEPEST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("route: [", "no YAML: line 2"),
        ("- 1", "holds no settings"),
        ("", "holds no settings"),
        ("route: \x00", "holds characters that no YAML has"),
        (BOMB, "more than 200,000 values, aliases counted"),
        (DEEP, f"more than {DEEPEST} levels deep"),
        ("#" * (6 << 20), "larger than 5 MiB"),
        ("a: 1\n---\nb: 1", "second document"),
        ("route: !secret x", "has a tag"),
        ("route: *x", "alias"),
        (tiny("  receiver: b\n"), "Line 3: 'receiver' stands there twice"),
        (tiny(more="rout: {}\n"), "Line 4: Alertmanager's file has no 'rout'"),
        (tiny("  recevier: b\n"), "Line 3: a route has no 'recevier'; correct it, it has active"),
        (tiny("  routes: {}\n"), "Line 3: routes must be a list"),
        (tiny("  routes: [x]\n"), "Line 3: each entry of routes must be a mapping"),
        (tiny("  routes: [{receiver: b}]\n"), "Line 3: there is no receiver 'b'"),
        (tiny("  routes: [{matchers: [a]}]\n"), "Line 3: a matcher cannot be read"),
        (tiny("  routes: [{matchers: ['{a=b']}]\n"), "brace is not closed"),
        (tiny("  routes: [{continue: maybe}]\n"), "continue must be true or false"),
        (tiny("  match: {a: b}\n"), "Line 3: the first route takes all alerts"),
        (tiny("  group_wait: soon\n"), "Line 3: group_wait is a duration"),
        (tiny("  routes: [{mute_time_intervals: [x]}]\n"), "there is no time interval 'x'"),
        ("route: {}\nreceivers: []", "the first route needs a receiver"),
        ("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]", "needs a name of its own"),
        ("route: {receiver: a}\nreceivers: [{name: a, sms_configs: []}]", "no 'sms_configs'"),
        (tiny(more="inhibit_rules: [{sources: []}]\n"), "a rule of inhibition has no 'sources'"),
        (tiny(more="global: {slack_api_url: <secret>}\n"), "give the file that it reads"),
        (
            tiny(more="time_intervals: [{name: x, time_intervals: [{weekdays: ['9']}]}]\n"),
            "weekdays are named",
        ),
        (
            tiny(
                more="time_intervals: [{name: x, time_intervals:"
                " [{times: [{start_time: '9', end_time: '10'}]}]}]\n"
            ),
            "start_time is written as",
        ),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_alertmanager(text, folder=FOLDER)
    assert said in str(refused.value)


def test_a_refusal_never_repeats_a_secret() -> None:
    for wrong in ("api_url: [hush-hush]", "api_url: {hush-hush: 1}", 'api_url: "hush-hush'):
        head = "route: {receiver: a}\nreceivers:\n  - name: a\n    slack_configs:\n"
        text = f"{head}      - {wrong}\n"
        with pytest.raises(Unreadable) as refused:
            read_alertmanager(text, folder=FOLDER)
        assert "hush" not in str(refused.value)


def test_a_tree_that_becomes_too_many_rows_is_refused() -> None:
    routes = "".join(f"    - matchers: [a='{n}']\n".replace("'", '"') for n in range(120))
    with pytest.raises(Unreadable, match="becomes 121 rows, and a project has at most 100"):
        read_alertmanager(
            tiny("  routes:\n" + routes.replace("[", "['").replace("]", "']")), folder=FOLDER
        )
    wide = ", ".join(f"'l{n}!=\"x\"'" for n in range(40))
    below = f"{{matchers: [{wide}]}}"
    both = f"{below}, {below.replace('l', 'm')}"
    cases = f"  routes: [{{continue: true, routes: [{both}]}}, {{matchers: ['a=b']}}]\n"
    with pytest.raises(Unreadable, match="falls into more than 1,000 cases"):
        read_alertmanager(tiny(cases), folder=FOLDER)
