"""Passwords: hashed with argon2id, compared in a time that tells nothing."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mainstay_server.kernel.problems import Invalid

SHORTEST = 10
LONGEST = 200

# OWASP's setting with the least memory: sign-ins in a burst must not starve a small machine.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# The worst passwords of at least ten characters, from published lists of leaked ones.
WORST = frozenset(
    """0123456789 1234567890 12345678910 123456789a 1111111111 0000000000 9876543210 0987654321
    1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc qwertyuiop qwerty12345 qwerty123456 qwertyuiop123
    password12 password123 password1234 password12345 password123! passw0rd123 p@ssw0rd123
    administrator admin12345 admin123456 adminadmin letmein123 welcome123 iloveyou123 abcdefghij
    abcd123456 abc1234567 asdfghjkl1 asdfghjkl; zxcvbnm123 changeme123 mainstay123
    mainstaymainstay correcthorsebatterystaple trustno1trustno1 football123 baseball123
    sunshine123 princess123 superman123 dragon1234 monkey1234""".split()  # noqa: SIM905 - reads as the list that it is
)


def hash_password(password: str) -> str:
    """The form in which a password is kept. About 25 ms of one core, on purpose."""
    return _hasher.hash(password)


def is_password(password_hash: str, password: str) -> bool:
    """Whether the password is the one; an empty hash takes as long as a wrong password."""
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than today's and should be made anew."""
    return _hasher.check_needs_rehash(password_hash)


def refuse_weak(password: str, *, email: str, field: str = "password") -> None:
    """Refuse a password that would be guessed first.

    Raises:
        Invalid: too short, too long, the address itself, or one of the worst known.
    """
    reason = ""
    if len(password) < SHORTEST:
        reason = f"is shorter than {SHORTEST} characters"
    elif len(password) > LONGEST:
        reason = f"is longer than {LONGEST} characters"
    elif password.lower() in (email.lower(), email.lower().partition("@")[0]):
        reason = "is the e-mail address"
    elif password.lower() in WORST or len(set(password)) <= 2:  # noqa: PLR2004 - "aaaaabbbbb"
        reason = "is one of the first that anybody would try"
    if reason:
        fault = {"field": field, "message": reason}
        raise Invalid(f"The password {reason}; choose another one.", errors=[fault])


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")
