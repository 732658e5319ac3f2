"""Mail leaves encrypted, checked, and with an honest word on what became of it."""

import socket
from email.message import EmailMessage

import pytest
import trustme
from mainstay_server.kernel import outbound
from tests.servers.processes import free_port
from tests.servers.smtp import running_smtp
from tests.servers.tls import server_tls


def a_message(*to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "mainstay@example.test"
    message["To"] = ", ".join(to or ("alice@example.test",))
    message["Subject"] = "Checkout is down"
    message.set_content("It went down at noon.")
    return message


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(("implicit", "starttls"), [(True, None), (False, True), (False, None)])
def test_mail_is_delivered_encrypted_and_signed_in(
    authority: trustme.CA, *, implicit: bool, starttls: bool | None
) -> None:
    tls = server_tls(authority, "localhost")
    with running_smtp(username="bob", password="pw", tls=tls, implicit_tls=implicit) as server:
        outbound.send_mail_blocking(
            a_message(),
            host="localhost",
            port=server.port,
            username="bob",
            password="pw",
            tls=implicit,
            starttls=starttls,
        )
        [mail] = server.messages
    assert (mail.subject, mail.encrypted, mail.authenticated) == ("Checkout is down", True, True)


@pytest.mark.usefixtures("open_to_private")
def test_a_password_is_not_sent_in_the_clear_unless_told_to() -> None:
    with running_smtp(username="bob", password="pw") as server:

        def send(*, starttls: bool | None) -> None:
            outbound.send_mail_blocking(
                a_message(),
                host=server.host,
                port=server.port,
                username="bob",
                password="pw",
                starttls=starttls,
            )

        for starttls in (None, True):
            with pytest.raises(outbound.MailRefused) as caught:
                send(starttls=starttls)
            assert caught.value.permanent
        assert server.messages == []
        send(starttls=False)
        assert len(server.messages) == 1


@pytest.mark.usefixtures("open_to_private")
@pytest.mark.parametrize(
    ("reply", "permanent"), [("451 4.3.2 try later", False), ("554 5.7.1 no", True)]
)
def test_the_servers_refusal_tells_whether_to_try_again(reply: str, *, permanent: bool) -> None:
    with running_smtp() as server:
        server.refuse(reply)
        with pytest.raises(outbound.MailRefused, match=reply) as caught:
            outbound.send_mail_blocking(a_message(), host=server.host, port=server.port)
    assert caught.value.permanent is permanent


@pytest.mark.usefixtures("open_to_private")
def test_one_refused_recipient_does_not_refuse_the_mail() -> None:
    with running_smtp() as server:
        server.refuse_recipient("gone@example.test", "550 5.1.1 nobody")
        message = a_message("alice@example.test", "gone@example.test")

        delivered = outbound.send_mail_blocking(message, host=server.host, port=server.port)
        with pytest.raises(outbound.MailRefused) as caught:
            outbound.send_mail_blocking(
                a_message("gone@example.test"), host=server.host, port=server.port
            )

        assert server.messages[0].recipients == ("alice@example.test",)
    assert delivered.refused == {"gone@example.test": "550 5.1.1 nobody"}
    assert caught.value.permanent


@pytest.mark.usefixtures("open_to_private")
def test_a_mail_server_that_is_away_is_worth_another_try() -> None:
    with pytest.raises(outbound.MailRefused) as caught:
        outbound.send_mail_blocking(a_message(), host="127.0.0.1", port=free_port())
    assert not caught.value.permanent


@pytest.mark.usefixtures("open_to_private")
def test_a_mail_server_that_says_nothing_cannot_hold_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(outbound.MailRefused) as caught:
            outbound.send_mail_blocking(
                a_message(), host="127.0.0.1", port=port, timeout_seconds=0.3
            )
    assert not caught.value.permanent


@pytest.mark.usefixtures("public_only")
def test_mail_passes_the_same_address_check() -> None:
    with running_smtp() as server:
        with pytest.raises(outbound.MailRefused, match="may not be reached") as caught:
            outbound.send_mail_blocking(a_message(), host="localhost", port=server.port)
        assert server.messages == []
    assert caught.value.permanent


@pytest.mark.usefixtures("public_only")
def test_the_operators_own_relay_may_be_on_a_private_address() -> None:
    with running_smtp() as server:
        outbound.send_mail_blocking(
            a_message(), host="127.0.0.1", port=server.port, starttls=False, trusted=True
        )
        assert len(server.messages) == 1
