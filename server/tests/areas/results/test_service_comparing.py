"""Comparing: whatever two results are, each case is told once and rightly."""

from hypothesis import given
from hypothesis import strategies as st
from mainstay_server.areas.results.models import CaseStatus, ResultUpload
from mainstay_server.areas.results.schemas.parsed import Case, Parsed
from mainstay_server.areas.results.service.comparing import compare

outcomes = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(list(CaseStatus)))


def parsed(told: dict[str, CaseStatus]) -> Parsed:
    return Parsed(cases=[Case(name=name, status=told[name]) for name in sorted(told)])


@given(before=outcomes, after=outcomes)
def test_every_failure_is_either_new_or_still_there(
    before: dict[str, CaseStatus], after: dict[str, CaseStatus]
) -> None:
    found = compare(parsed(before), parsed(after), against=ResultUpload())
    failed = CaseStatus.FAILED
    new = {case.name for case in found.new_failures}
    still = {case.name for case in found.still_failing}
    assert new == {name for name in after if after[name] is failed and before.get(name) != failed}
    assert still == {name for name in after if after[name] is failed is before.get(name)}
    assert set(found.fixed) == {
        name for name in before if before[name] is failed and after.get(name) == "passed"
    }
    assert set(found.added) == after.keys() - before.keys()
    assert set(found.removed) == before.keys() - after.keys()
    assert found.counts["new_failures"] == len(new)
