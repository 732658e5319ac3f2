"""Channels and rules in documents: with their secrets, their names, and the defaults beneath."""

import base64
from contextlib import nullcontext
from typing import Any

import pytest
from mainstay_server.areas.alerts.configured.channels import CHANNELS, ChannelShape
from mainstay_server.areas.alerts.configured.measure_rules import MEASURE_RULES, MeasureRuleShape
from mainstay_server.areas.alerts.configured.rules import RULES, RuleShape
from mainstay_server.areas.alerts.models import AlertChannel, AlertType, Severity
from mainstay_server.areas.alerts.service import channels, rules
from mainstay_server.contracts.alerts import (
    AlertChannelChanged,
    AlertChannelCreated,
    AlertChannelRemoved,
)
from mainstay_server.kernel.configured import ConfiguredProject, Held
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project

HOOK = {"webhookUrl": "https://hooks.slack.com/services/T1/B1/secret"}


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    return configured_project(instance)


def channel(**fields: Any) -> ChannelShape:
    usual = {"name": "chat", "type": "slack", "config": HOOK}
    return ChannelShape.model_validate(usual | fields)


def only(session: Session, project: ConfiguredProject) -> Held:
    (held,) = CHANNELS.export(session, project)
    return held


def test_a_channel_is_held_as_it_was_written_and_changed_in_its_place(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    CHANNELS.write(session, project, channel(), None, NOON)
    made = only(session, project)
    assert made.shape == channel()
    elsewhere = {"webhookUrl": "https://hooks.slack.com/services/T2/B2/other"}
    wanted = channel(config=elsewhere, minimumSeverity="critical", enabled=False)
    CHANNELS.write(session, project, wanted, made.id, NOON)
    changed = only(session, project)
    assert (changed.shape, changed.id) == (wanted, made.id)
    CHANNELS.remove(session, project, changed, NOON)
    session.flush()
    assert CHANNELS.export(session, project) == []
    kinds: list[type[Event]] = [AlertChannelCreated, AlertChannelChanged, AlertChannelRemoved]
    events = said()
    assert [type(event) for event in events] == kinds
    assert "secret" not in str(events) + str(events)


def test_a_webhook_keeps_its_signing_secret_or_takes_the_document_s(
    session: Session, project: ConfiguredProject
) -> None:
    hook = channel(type="webhook", config={"webhookUrl": "https://ships.example/hooks/alerts"})
    CHANNELS.write(session, project, hook, None, NOON)
    made = only(session, project)
    assert isinstance(made.shape, ChannelShape)
    assert made.shape.signing_secret.startswith("whsec_")
    assert ("signingSecret",) in made.shape.secret_paths()
    given = made.shape.model_copy(update={"signing_secret": "whsec_" + "A" * 32})
    CHANNELS.write(session, project, given, made.id, NOON)
    assert only(session, project).shape == given


@pytest.mark.parametrize(("size", "takes"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_signing_secret_has_24_to_64_bytes(
    session: Session, project: ConfiguredProject, size: int, *, takes: bool
) -> None:
    secret = "whsec_" + base64.b64encode(b"s" * size).decode()
    config = {"webhookUrl": "https://ships.example/hooks/alerts"}
    hook = channel(type="webhook", config=config).model_copy(update={"signing_secret": secret})
    with nullcontext() if takes else pytest.raises(Invalid, match="24 to 64 bytes"):
        CHANNELS.write(session, project, hook, None, NOON)


def test_a_signing_secret_that_can_sign_nothing_is_refused_unless_it_is_there(
    session: Session, project: ConfiguredProject
) -> None:
    hook = channel(type="webhook", config={"webhookUrl": "https://ships.example/hooks/alerts"})
    CHANNELS.write(session, project, hook, None, NOON)
    made = only(session, project)
    broken = "whsec_" + "A" * 33  # no base64: no message can be signed with it
    given = made.shape.model_copy(update={"signing_secret": broken})
    with pytest.raises(Invalid, match="24 to 64 bytes"):
        CHANNELS.write(session, project, given, made.id, NOON)
    session.get_one(AlertChannel, made.id).secret = broken  # as it was taken once
    CHANNELS.write(session, project, given, made.id, NOON)
    assert only(session, project).shape == given


def test_a_kept_secret_does_not_follow_a_document_to_another_server(
    session: Session, project: ConfiguredProject
) -> None:
    topic = {"topicUrl": "https://ntfy.sh/ships", "accessToken": "tk_secret"}
    CHANNELS.write(session, project, channel(type="ntfy", config=topic), None, NOON)
    made = only(session, project)
    elsewhere = topic | {"topicUrl": "https://ntfy.example/ships"}
    with pytest.raises(Invalid, match="another server"):
        CHANNELS.write(session, project, channel(type="ntfy", config=elsewhere), made.id, NOON)
    assert only(session, project).shape == channel(type="ntfy", config=topic)
    given = channel(type="ntfy", config=elsewhere | {"accessToken": "tk_another"})
    CHANNELS.write(session, project, given, made.id, NOON)
    assert only(session, project).shape == given


def test_of_another_type_it_is_another_channel(
    session: Session, project: ConfiguredProject
) -> None:
    CHANNELS.write(session, project, channel(), None, NOON)
    made = only(session, project)
    mail = channel(type="email", config={"email": "team@ships.example"}, instance="")
    CHANNELS.write(session, project, mail, made.id, NOON)
    now = only(session, project)
    assert (now.shape, now.id != made.id) == (mail, True)
    assert now.shape.secret_paths() == ()


def test_a_channel_without_a_name_is_called_after_its_kind(
    session: Session, project: ConfiguredProject
) -> None:
    about = (project.organization_id, project.id, None)
    for number in range(3):
        config = {"webhookUrl": f"https://hooks.slack.com/services/T{number}/B/x"}
        channels.create_channel(session, about, "slack", config, now=NOON)
    names = [one.shape.key for one in CHANNELS.export(session, project)]
    assert sorted(names) == [("", "slack"), ("", "slack-2"), ("", "slack-3")]


def test_a_rule_has_the_values_of_its_type_and_goes_back_to_them(
    session: Session, project: ConfiguredProject
) -> None:
    wide = RuleShape.model_validate({"type": "high_error_rate"})
    assert (wide.severity, wide.threshold, wide.minimum_count) == (Severity.CRITICAL, 5, 20)
    own = RuleShape.model_validate(
        {"type": "high_error_rate", "instance": "production", "threshold": 1, "enabled": False}
    )
    ids = [RULES.write(session, project, each, None, NOON) for each in (wide, own)]
    held = {one.shape.key: one for one in RULES.export(session, project)}
    assert {one.id: one.shape for one in held.values()} == dict(zip(ids, (wide, own), strict=True))
    RULES.remove(session, project, held["production", "high_error_rate"], NOON)
    instance = project.instances["production"]
    rule = rules.rule_for(session, project.id, instance.id, AlertType.HIGH_ERROR_RATE)
    assert (rule.threshold, rule.changed) == (5, "project")


def test_what_is_no_channel_or_rule_is_no_shape() -> None:
    wrongs: list[dict[str, Any]] = [
        {"type": "pigeon"},
        {"config": {}},
        {"config": {"url": "https://a.example"}},
        {"type": "email", "config": {"email": "nobody"}},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            channel(**wrong)
    for rule in ({"type": "rain"}, {"type": "instance_down", "windowSeconds": 7}):
        with pytest.raises(ValidationError):
            RuleShape.model_validate(rule)


def measure_rule(**fields: Any) -> MeasureRuleShape:
    usual = {
        "name": "Responses are slow",
        "measure": "resources.memory",
        "levels": [{"severity": "critical", "threshold": 95}],
    }
    return MeasureRuleShape.model_validate(usual | fields)


def test_rules_over_measures_are_held_with_the_defaults_that_were_changed(
    session: Session, project: ConfiguredProject
) -> None:
    assert MEASURE_RULES.export(session, project) == []
    own = measure_rule(name="Memory", instance="production", forSeconds=60)
    changed = measure_rule(name="Memory runs out", default="memory")
    for wanted in (own, changed):
        MEASURE_RULES.write(session, project, wanted, None, NOON)
    held = MEASURE_RULES.export(session, project)
    assert [each.shape for each in held] == [own, changed]

    again = measure_rule(name="Memory", minimumCount=5)
    assert MEASURE_RULES.write(session, project, again, held[0].id, NOON) == held[0].id
    assert MEASURE_RULES.export(session, project)[0].shape == again
    for each in held:
        MEASURE_RULES.remove(session, project, each, NOON)
    assert MEASURE_RULES.export(session, project) == []


def test_a_channel_names_its_fallback_and_a_name_that_nobody_has_is_refused(
    session: Session, project: ConfiguredProject
) -> None:
    mail = channel(name="mail", type="email", config={"email": "team@ships.example"})
    chat = channel(instance="production", fallback="mail", perMinute=30)
    ids = [CHANNELS.write(session, project, each, None, NOON) for each in (chat, mail)]
    wrote = [Held(id=id_, shape=shape) for id_, shape in zip(ids, (chat, mail), strict=True)]
    assert CHANNELS.finish is not None
    CHANNELS.finish(session, project, wrote, NOON)

    held = {one.shape.key: one.shape for one in CHANNELS.export(session, project)}
    assert held["production", "chat"] == chat
    assert held["", "mail"] == mail
    nobody = [Held(id=ids[0], shape=channel(instance="production", fallback="pigeon"))]
    with pytest.raises(Invalid, match="pigeon"):
        CHANNELS.finish(session, project, nobody, NOON)


def test_a_channel_of_several_fields_is_held_with_its_secrets_and_their_places(
    session: Session, project: ConfiguredProject
) -> None:
    chat = {"chatId": "-1001", "botToken": "123456:AAbbCCddEEffGGhhIIjjKKllMMnn"}
    CHANNELS.write(session, project, channel(type="telegram", config=chat), None, NOON)
    shape = only(session, project).shape
    assert isinstance(shape, ChannelShape)
    assert shape.config == chat
    assert shape.secret_paths() == (("config", "botToken"),)
    kept = channel(type="telegram", config={"chatId": "-1002", "botToken": "kept"})
    assert kept.config["botToken"] == "kept"
