"""Kept answers: few enough, and only those that a provider can be asked about."""

from carbonq.forecasters.carbon.conditional import Kept, KeptAnswers


def test_an_answer_is_kept_with_the_headers_that_ask_about_it() -> None:
    kept = KeptAnswers(100)
    kept.keep("a", b"body", {"ETag": '"1"', "Last-Modified": "then"})
    assert kept.find("a") == Kept(b"body", {"If-None-Match": '"1"', "If-Modified-Since": "then"})


def test_what_cannot_be_asked_about_or_must_not_be_stored_is_not_kept() -> None:
    kept = KeptAnswers(100)
    kept.keep("a", b"body", {})
    kept.keep("b", b"body", {"ETag": '"1"', "Cache-Control": "private, no-store"})
    assert (kept.find("a"), kept.find("b")) == (None, None)


def test_an_answer_that_lost_its_tag_replaces_the_kept_one() -> None:
    kept = KeptAnswers(100)
    kept.keep("a", b"old", {"ETag": '"1"'})
    kept.keep("a", b"new", {})
    assert kept.find("a") is None


def test_what_was_not_used_for_longest_leaves_first() -> None:
    kept = KeptAnswers(10)
    for question in "abc":
        kept.keep(question, b"123", {"ETag": '"1"'})
    kept.find("a")
    kept.keep("d", b"123", {"ETag": '"1"'})
    assert [bool(kept.find(question)) for question in "abcd"] == [True, False, True, True]


def test_an_answer_larger_than_all_that_is_kept_pushes_nothing_out() -> None:
    kept = KeptAnswers(10)
    kept.keep("a", b"123", {"ETag": '"1"'})
    kept.keep("b", b"x" * 11, {"ETag": '"1"'})
    assert (kept.find("a") is not None, kept.find("b")) == (True, None)
