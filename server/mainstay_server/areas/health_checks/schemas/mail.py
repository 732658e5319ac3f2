"""What a check of a mail server is told, whichever of its doors it asks at."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from .orders import Host, Port, ProviderConfig, Secret


class MailConfig(ProviderConfig):
    """Where it is. `tls` is spoken from the first byte (`implicit`) or asked for (`starttls`).

    Signing in needs TLS: a password is not sent for everybody to read.
    """

    host: Host
    port: Port
    tls: Literal["off", "starttls", "implicit"]
    verify_tls: bool = True
    username: Annotated[str, Field(max_length=320)] = ""
    password: Secret | None = None

    @model_validator(mode="after")
    def _password_needs_tls(self) -> Self:
        if self.password is not None and (self.tls == "off" or not self.username):
            raise ValueError("takes a password with a username and with tls only")
        return self
