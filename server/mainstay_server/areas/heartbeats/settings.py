"""Options of the heartbeats, for operators."""

from pydantic import Field

from mainstay_server.kernel.settings import Settings


class HeartbeatSettings(Settings):
    """How reports are taken and how much of them is kept."""

    heartbeats_pings_kept: int = Field(
        500, ge=10, le=10_000, description="How many of the latest reports a heartbeat keeps."
    )
    heartbeats_waiting_mib: int = Field(
        32, ge=1, le=1024, description="How much of reports may wait to be stored; beyond it: 429."
    )
    heartbeats_mail_host: str = Field(
        "127.0.0.1", description="Address on which mails that report are taken."
    )
    heartbeats_mail_port: int = Field(
        0, ge=0, le=65_535, description="Port on which mails that report are taken; 0 takes none."
    )
    heartbeats_mail_domain: str = Field(
        "", description="The domain of those mail addresses, for snippets; empty shows none."
    )
    heartbeats_mail_connections: int = Field(
        100, ge=1, le=10_000, description="How many connections bring mails at the same time."
    )
