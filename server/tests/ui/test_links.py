from mainstay_server.ui.links import with_query
from starlette.datastructures import URL

HERE = URL("http://mainstay.example/dashboard/errors?q=time+out&range=24h&cursor=abc")


def test_a_changed_parameter_keeps_the_others_and_forgets_the_cursor() -> None:
    assert with_query(HERE, range="7d") == "/dashboard/errors?q=time+out&range=7d"


def test_none_removes_a_parameter() -> None:
    assert with_query(HERE, range=None, q=None) == "/dashboard/errors"


def test_a_cursor_may_be_given() -> None:
    assert with_query(HERE, cursor="def", q=None) == "/dashboard/errors?range=24h&cursor=def"
