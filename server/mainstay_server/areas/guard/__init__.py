"""Guard: one policy for each instance, decided in the app, at its proxy, or for who asks."""

from mainstay_server.contracts.guard import (
    conduct_of_addresses,
    keys_on_the_move,
    last_uses,
    trusted_networks,
    use_of_keys,
)
from mainstay_server.kernel.area import Area

from . import api, ingest, jobs, pages, readiness
from .columns import GUARD_PASSAGES
from .service import answering

area = Area(
    name="guard",
    title="Guard",
    api=api.router,
    pages=pages.router,
    plain_routes=ingest.plain_routes,
    loops=jobs.loops,
    readiness=(readiness.api_is_guarded, readiness.guard_is_enforced),
    tables=(GUARD_PASSAGES,),
    answers=(
        use_of_keys.answered_by(answering.use_of_keys),
        last_uses.answered_by(answering.last_uses),
        conduct_of_addresses.answered_by(answering.conduct_of_addresses),
        keys_on_the_move.answered_by(answering.keys_on_the_move),
        trusted_networks.answered_by(answering.trusted_networks),
    ),
    panels=(pages.panel,),
    menu=(pages.menu,),
)
