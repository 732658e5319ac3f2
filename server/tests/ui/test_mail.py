"""HTML of others is read to the same mail wherever it is read, and harms nobody but its reader."""

import pytest
from mainstay_server.kernel.problems import Invalid, TooLarge
from mainstay_server.ui.mail import finished
from mainstay_server.ui.mail_reading import as_text, inlined

DEEP = "<div>" * 38_000
# Every paragraph has all the fonts again that the one before left open: 36 million elements.
MANY = "<p>" + "".join(f"<font a={n}>" for n in range(6_000)) + "<p>x" * 6_000
STYLED = "<style>p{" + "".join(f"--a{n}:b;" for n in range(4_000)) + "}</style>" + "<p>x" * 50


@pytest.mark.parametrize("page", [DEEP, MANY], ids=["deep", "many"])
def test_a_page_that_ends_who_reads_it_is_refused_and_we_live(page: str) -> None:
    with pytest.raises(Invalid) as refused:
        finished(page)
    assert refused.value.code == "unreadable-html"
    assert refused.value.errors[0]["field"] == "html"


def test_a_page_that_grows_with_its_styles_is_refused_beyond_what_a_mail_may_be() -> None:
    with pytest.raises(TooLarge, match="1,000,000 letters"):
        finished(STYLED)


def test_what_is_shown_with_its_lines_has_them_in_the_text_too() -> None:
    page = '<p class="said">one\n  two\n\nthree</p><p>four\nfive</p>'
    assert as_text(page) == "one\ntwo\n\nthree\n\nfour five\n"


def test_a_long_mail_reads_as_a_short_one() -> None:
    rows = "".join(f"<tr><td>Grüße {n}</td><td><b>✓</b></td></tr>" for n in range(700))
    page = f"<html><style>td{{color:red}}</style><body><table>{rows}</table></body></html>"
    written = finished(page)
    assert (written.html, written.text) == (inlined(page), as_text(page))
    assert written.html.count('<td style="color: red;">') == 1400
    assert "Grüße 699 | ✓" in written.text
