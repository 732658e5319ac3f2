"""Backups: dumps that are restored and compared before anybody relies on them."""

from mainstay_server.kernel.area import Area

from .settings import BackupSettings

area = Area(
    name="backups",
    title="Backups",
    settings=(BackupSettings,),
)
