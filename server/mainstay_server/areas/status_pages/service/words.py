"""The words of public pages, mails and feeds, in each language that a page may speak."""

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

_ENGLISH = {
    "operational": "Operational",
    "degraded_performance": "Degraded performance",
    "partial_outage": "Partial outage",
    "major_outage": "Major outage",
    "under_maintenance": "Under maintenance",
    "unknown": "No data",
    "investigating": "Investigating",
    "identified": "Identified",
    "monitoring": "Monitoring",
    "resolved": "Resolved",
    "scheduled": "Scheduled",
    "in_progress": "In progress",
    "completed": "Completed",
    "none": "No impact",
    "minor": "Minor impact",
    "major": "Major impact",
    "critical": "Critical impact",
    "all_none": "All systems are operational",
    "all_minor": "Some systems are degraded",
    "all_major": "Some systems are out of order",
    "all_critical": "A major outage",
    "all_maintenance": "Maintenance is under way",
    "all_unknown": "Nothing is known at the moment",
    "as_of": "Our monitoring cannot be reached at the moment. This is how things were on {time}.",
    "updated": "Updated {time}",
    "status_of": "Status of {name}",
    "components": "Components",
    "current": "Current incidents",
    "maintenances": "Scheduled maintenance",
    "maintenance": "Scheduled maintenance",
    "recent": "Past incidents",
    "no_incidents": "No incidents were reported.",
    "history": "Incident history",
    "older": "Earlier",
    "newer": "Later",
    "back": "Back to the current status",
    "subscribe": "Get updates",
    "subscribe_lead": "Be told when something happens, by mail, by webhook or in a feed reader.",
    "email": "E-mail address",
    "webhook": "Webhook URL",
    "by_email": "Subscribe by e-mail",
    "by_webhook": "Subscribe a webhook",
    "about": "About",
    "everything": "Everything",
    "chosen": "Only what is chosen here:",
    "days_ago": "90 days ago",
    "today": "Today",
    "uptime": "{percent} uptime",
    "bar_label": "{name}: the last 90 days, {uptime}",
    "no_uptime": "uptime is not known",
    "down": "down for {time}",
    "degraded": "degraded for {time}",
    "maintained": "in maintenance for {time}",
    "day_by_day": "Days that were not fully operational",
    "response_times": "Response time, last 24 hours",
    "chart_label": "{name}: response times of the last 24 hours, from {low} to {high}",
    "affected": "Affected",
    "automatic": "Noticed automatically",
    "from_to": "{start} to {end}",
    "password": "Password",
    "private": "This page is private",
    "private_lead": "Enter the password that you were given.",
    "enter": "Show the page",
    "wrong_password": "That is not the password.",
    "too_often": "Too many attempts. Try again in a few minutes.",
    "powered": "Watched by Mainstay",
    "skip": "Skip to the content",
    "auto_title_one": "{name} is not available",
    "auto_title_many": "{count} components are not available",
    "auto_open": (
        "Our monitoring noticed that **{names}** cannot be reached. We are looking into it."
    ),
    "auto_more": "**{names}** cannot be reached either.",
    "auto_less": "**{names}** is available again.",
    "auto_close": "Our monitoring sees everything working again.",
    "confirm_subject": "Confirm your subscription to {name}",
    "confirm_text": (
        "Somebody, most likely you, asked that this address be told of updates of {name}. "
        "Confirm it within two days, and nothing is sent before you do:"
    ),
    "confirm_else": "If it was not you, do nothing: this is the only mail you get.",
    "confirm": "Confirm the subscription",
    "confirmed": "You are subscribed",
    "confirmed_lead": "Updates are sent to {address} from now on.",
    "already_subject": "You are subscribed to {name}",
    "already_text": (
        "Somebody, most likely you, asked again that this address be told of updates of "
        "{name}. It is subscribed already. Change or end it here:"
    ),
    "manage": "Change or end the subscription",
    "asked": "Look into your mail",
    "asked_lead": (
        "If that address can be subscribed, a mail with a link to confirm is on its way to "
        "it. The link works for two days."
    ),
    "asked_webhook": "Your webhook is being asked",
    "asked_webhook_lead": (
        "A challenge is on its way to it. It is subscribed as soon as it answers with the "
        "challenge. Keep this secret, which signs every message; it is not shown again:"
    ),
    "unsubscribe": "Unsubscribe",
    "unsubscribed": "You are unsubscribed",
    "unsubscribed_lead": "Nothing more is sent to {address}.",
    "subscription": "Your subscription",
    "subscription_lead": "Updates are sent to {address}.",
    "save": "Save",
    "saved": "Saved.",
    "gone": "This link has been used or is too old. Subscribe again if you like.",
    "see_page": "See the status page",
    "mail_foot": "You get this because you subscribed to updates of {name}.",
}

_GERMAN = {
    "operational": "In Betrieb",
    "degraded_performance": "Beeinträchtigt",
    "partial_outage": "Teilausfall",
    "major_outage": "Ausfall",
    "under_maintenance": "In Wartung",
    "unknown": "Keine Daten",
    "investigating": "Wird untersucht",
    "identified": "Ursache erkannt",
    "monitoring": "Wird beobachtet",
    "resolved": "Behoben",
    "scheduled": "Geplant",
    "in_progress": "Läuft",
    "completed": "Abgeschlossen",
    "none": "Ohne Auswirkung",
    "minor": "Geringe Auswirkung",
    "major": "Große Auswirkung",
    "critical": "Sehr große Auswirkung",
    "all_none": "Alle Systeme sind in Betrieb",
    "all_minor": "Einige Systeme sind beeinträchtigt",
    "all_major": "Einige Systeme sind ausgefallen",
    "all_critical": "Ein großer Ausfall",
    "all_maintenance": "Eine Wartung läuft",
    "all_unknown": "Zurzeit ist nichts bekannt",
    "as_of": "Unsere Überwachung ist zurzeit nicht erreichbar. Dies ist der Stand vom {time}.",
    "updated": "Stand {time}",
    "status_of": "Status von {name}",
    "components": "Komponenten",
    "current": "Aktuelle Störungen",
    "maintenances": "Geplante Wartungen",
    "maintenance": "Geplante Wartung",
    "recent": "Vergangene Störungen",
    "no_incidents": "Es wurden keine Störungen gemeldet.",
    "history": "Verlauf der Störungen",
    "older": "Früher",
    "newer": "Später",
    "back": "Zurück zum aktuellen Stand",
    "subscribe": "Auf dem Laufenden bleiben",
    "subscribe_lead": "Erfahren, wenn etwas geschieht: per E-Mail, per Webhook oder im Feedreader.",
    "email": "E-Mail-Adresse",
    "webhook": "URL des Webhooks",
    "by_email": "Per E-Mail abonnieren",
    "by_webhook": "Webhook eintragen",
    "about": "Worüber",
    "everything": "Alles",
    "chosen": "Nur das hier Gewählte:",
    "days_ago": "vor 90 Tagen",
    "today": "Heute",
    "uptime": "{percent} verfügbar",
    "bar_label": "{name}: die letzten 90 Tage, {uptime}",
    "no_uptime": "Verfügbarkeit nicht bekannt",
    "down": "{time} ausgefallen",
    "degraded": "{time} beeinträchtigt",
    "maintained": "{time} in Wartung",
    "day_by_day": "Tage, die nicht ganz ungestört waren",
    "response_times": "Antwortzeit, letzte 24 Stunden",
    "chart_label": "{name}: Antwortzeiten der letzten 24 Stunden, von {low} bis {high}",
    "affected": "Betroffen",
    "automatic": "Automatisch bemerkt",
    "from_to": "{start} bis {end}",
    "password": "Passwort",
    "private": "Diese Seite ist nicht öffentlich",
    "private_lead": "Geben Sie das Passwort ein, das Sie erhalten haben.",
    "enter": "Seite zeigen",
    "wrong_password": "Das ist nicht das Passwort.",
    "too_often": "Zu viele Versuche. Versuchen Sie es in einigen Minuten wieder.",
    "powered": "Überwacht von Mainstay",
    "skip": "Zum Inhalt springen",
    "auto_title_one": "{name} ist nicht erreichbar",
    "auto_title_many": "{count} Komponenten sind nicht erreichbar",
    "auto_open": (
        "Unsere Überwachung hat bemerkt, dass **{names}** nicht erreichbar ist. Wir gehen dem nach."
    ),
    "auto_more": "Auch **{names}** ist nicht erreichbar.",
    "auto_less": "**{names}** ist wieder erreichbar.",
    "auto_close": "Unsere Überwachung sieht, dass alles wieder arbeitet.",
    "confirm_subject": "Bestätigen Sie Ihr Abonnement von {name}",
    "confirm_text": (
        "Jemand, vermutlich Sie, möchte diese Adresse über Neues von {name} unterrichten "
        "lassen. Bestätigen Sie es innerhalb von zwei Tagen; vorher wird nichts gesendet:"
    ),
    "confirm_else": (
        "Waren Sie es nicht, so tun Sie nichts: Dies ist die einzige Mail, die Sie erhalten."
    ),
    "confirm": "Abonnement bestätigen",
    "confirmed": "Ihr Abonnement ist bestätigt",
    "confirmed_lead": "Neues wird von jetzt an an {address} gesendet.",
    "already_subject": "Sie haben {name} abonniert",
    "already_text": (
        "Jemand, vermutlich Sie, möchte diese Adresse noch einmal über Neues von {name} "
        "unterrichten lassen. Sie ist schon eingetragen. Hier können Sie es ändern oder "
        "beenden:"
    ),
    "manage": "Abonnement ändern oder beenden",
    "asked": "Sehen Sie in Ihre Mails",
    "asked_lead": (
        "Wenn die Adresse eingetragen werden kann, ist eine Mail mit einem Link zur "
        "Bestätigung unterwegs. Er gilt zwei Tage."
    ),
    "asked_webhook": "Ihr Webhook wird gefragt",
    "asked_webhook_lead": (
        "Eine Prüfaufgabe ist unterwegs. Er ist eingetragen, sobald er mit ihr antwortet. "
        "Verwahren Sie dieses Geheimnis, mit dem jede Nachricht unterschrieben wird; es wird "
        "nicht noch einmal gezeigt:"
    ),
    "unsubscribe": "Abbestellen",
    "unsubscribed": "Sie sind ausgetragen",
    "unsubscribed_lead": "An {address} wird nichts mehr gesendet.",
    "subscription": "Ihr Abonnement",
    "subscription_lead": "Neues wird an {address} gesendet.",
    "save": "Speichern",
    "saved": "Gespeichert.",
    "gone": "Dieser Link wurde schon benutzt oder ist zu alt. Sie können sich neu eintragen.",
    "see_page": "Zur Statusseite",
    "mail_foot": "Sie erhalten dies, weil Sie Neues von {name} abonniert haben.",
}

_WORDS: Mapping[str, Mapping[str, str]] = {"en": _ENGLISH, "de": _GERMAN}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
}
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Words:
    """The words of one language, and how it writes times; `zone` is the page's."""

    def __init__(self, language: str, time_zone: str) -> None:
        self.language = language if language in _WORDS else "en"
        self._words = _WORDS[self.language]
        self._months = _MONTHS[self.language].split()
        self._zone = ZoneInfo(time_zone)

    def __call__(self, name: str, /, **values: object) -> str:
        """A phrase, with the values in their places."""
        return self._words[name].format(**values)

    def moment(self, at: datetime) -> str:
        """A time of day in the page's zone, with the zone's name: no reader has to guess."""
        here = at.astimezone(self._zone)
        return f"{self.day(here.date())}, {here:%H:%M} {here.tzname() or 'UTC'}"

    def day(self, day: date) -> str:
        """A date as the language writes it."""
        if self.language == "de":
            return f"{day.day}. {self._months[day.month - 1]} {day.year}"
        return f"{day.day} {self._months[day.month - 1][:3]} {day.year}"

    def written(self, iso: str) -> str:
        """A date of the form `2026-11-26` as the language writes it."""
        return self.day(date.fromisoformat(iso))

    def month(self, month: date) -> str:
        """A month and its year."""
        return f"{self._months[month.month - 1]} {month.year}"

    def local(self, at: datetime) -> datetime:
        """The time in the page's zone."""
        return at.astimezone(self._zone)

    def percent(self, value: float) -> str:
        """Two decimals, and never 100 for what was not all of it."""
        floored = int(value * 100) / 100 if value < 100 else 100.0  # noqa: PLR2004 - percent
        text = f"{floored:.2f}" if floored < 100 else "100"  # noqa: PLR2004 - percent
        return f"{text.replace('.', ',')} %" if self.language == "de" else f"{text}%"

    def span(self, seconds: float) -> str:
        """How long something took, in its two largest units."""
        if seconds < MINUTE:
            return f"{max(round(seconds), 1)} s"
        if seconds < HOUR:
            return f"{round(seconds / MINUTE)} min"
        if seconds < DAY:
            hours, rest = divmod(round(seconds / MINUTE), 60)
            return f"{hours} h {rest} min" if rest else f"{hours} h"
        days, rest = divmod(round(seconds / HOUR), 24)
        return f"{days} d {rest} h" if rest else f"{days} d"


def missing_words() -> dict[str, set[str]]:
    """What each language lacks of the others' phrases; for the test that there is nothing."""
    every = set().union(*_WORDS.values())
    return {language: every - set(words) for language, words in _WORDS.items()}
