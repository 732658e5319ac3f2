"""What is looked for in the conduct of addresses and keys: pure functions over counted facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mainstay_server.contracts.guard import AddressConduct

# Paths that nobody asks for who was not looking for a hole; compared in lower case, as a prefix.
SCANNER_PATHS = (
    "/.env",
    "/.git",
    "/.aws",
    "/.ssh",
    "/.svn",
    "/.ds_store",
    "/actuator",
    "/admin.php",
    "/backup.sql",
    "/boaform",
    "/cgi-bin",
    "/config.php",
    "/console",
    "/dump.sql",
    "/etc/passwd",
    "/hnap1",
    "/owa/",
    "/phpinfo",
    "/phpmyadmin",
    "/server-status",
    "/shell",
    "/solr/",
    "/vendor/phpunit",
    "/wp-",
    "/xmlrpc.php",
)
ROUTES_OF_A_SCAN = 10


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of misconduct: `measure` gives a number, and from `default` on it is abuse.

    `words` tells it with the number in it.
    """

    name: str
    about: str
    words: str
    default: int
    measure: Callable[[AddressConduct], int]


def _burst_of_not_found(conduct: AddressConduct) -> int:
    """404s count when they were about many routes: one broken link is no scan."""
    return conduct.not_found if conduct.routes >= ROUTES_OF_A_SCAN else 0


def _scanner_paths(conduct: AddressConduct) -> int:
    return sum(path.lower().startswith(SCANNER_PATHS) for path in conduct.paths)


# The gravest first: an address gets the first rule that it broke as the reason.
RULES: tuple[Rule, ...] = (
    Rule(
        name="key_spraying",
        about="different keys that were refused, from one address",
        words="{count} different keys were refused",
        default=20,
        measure=lambda conduct: conduct.credentials,
    ),
    Rule(
        name="scanner_paths",
        about="different paths that only scanners ask for, from one address",
        words="{count} paths were asked for that only scanners ask for",
        default=3,
        measure=_scanner_paths,
    ),
    Rule(
        name="scope_probing",
        about="requests beyond a key's scopes, from one address",
        words="{count} requests were beyond the scopes of their key",
        default=50,
        measure=lambda conduct: conduct.forbidden if conduct.key_ids else 0,
    ),
    Rule(
        name="failed_authentication",
        about="requests without a good key (401, 403), from one address",
        words="{count} requests had no good key",
        default=200,
        measure=lambda conduct: conduct.unauthorized + conduct.forbidden,
    ),
    Rule(
        name="not_found_burst",
        about="requests for what is not there (404), about many routes, from one address",
        words="{count} requests were for what is not there",
        default=200,
        measure=_burst_of_not_found,
    ),
    Rule(
        name="limit_evasion",
        about="requests that went on after a limit (429), from one address",
        words="{count} requests went on after a limit",
        default=500,
        measure=lambda conduct: conduct.limited,
    ),
)
# Told and never banned: the key may be anybody's, and its owner decides.
IMPOSSIBLE_HOP = "impossible_hop"
DEFAULT_HOP_NETWORKS = 5
BY_HAND = "by_hand"
DEFAULTS: Mapping[str, int] = {
    **{rule.name: rule.default for rule in RULES},
    IMPOSSIBLE_HOP: DEFAULT_HOP_NETWORKS,
}
ABOUT: Mapping[str, str] = {
    **{rule.name: rule.about for rule in RULES},
    IMPOSSIBLE_HOP: "networks from which one key was used at the same time",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """The rule that an address broke, and how far."""

    rule: Rule
    count: int

    @property
    def words(self) -> str:
        """What happened, as people read it."""
        return self.rule.words.format(count=self.count)


def broken_by(conduct: AddressConduct, thresholds: Mapping[str, int]) -> Broken | None:
    """The gravest rule that an address broke; a threshold of 0 switches a rule off."""
    for rule in RULES:
        threshold = thresholds.get(rule.name, rule.default)
        count = rule.measure(conduct)
        if threshold and count >= threshold:
            return Broken(rule, count)
    return None


def fewest_refused(all_thresholds: list[Mapping[str, int]]) -> int:
    """How many refused requests an address needs before it can have broken any rule at all."""
    given = [
        threshold
        for thresholds in all_thresholds
        for name, default in DEFAULTS.items()
        if (threshold := thresholds.get(name, default)) and name != IMPOSSIBLE_HOP
    ]
    return max(1, min(given, default=1))
