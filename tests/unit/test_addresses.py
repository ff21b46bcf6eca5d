"""E-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.addresses import LONGEST, as_address, ascii_domain, fault_in_address, masked


@pytest.mark.parametrize(
    "address",
    [
        "kim@example.com",
        "k@b",
        "root@localhost",
        "o'brien+orders@sub.example.co.uk",
        "jörg@bücher.example",
        "用户@例子.广告",
        "a" * 64 + "@example.com",
        "!#$%&'*+-/=?^_`{|}~@example.com",
    ],
)
def test_what_mail_can_be_sent_to(address: str) -> None:
    assert fault_in_address(as_address(address)) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "kim",
        "@example.com",
        "kim@",
        "kim@@example.com",
        "kim@example..com",
        "kim@-example.com",
        "kim@exam ple.com",
        "kim smith@example.com",
        "Kim <kim@example.com>",
        "kim@example.com, lee@example.com",
        "kim@[127.0.0.1]",
        '"kim"@example.com',
        ".kim@example.com",
        "kim.@example.com",
        "k..m@example.com",
        "a@b\r\nBcc: c@d.e",
        "a\0@b",
        "a\ud800@b",
        "kim@exa\u200bmple.com\n",
        "a" * 65 + "@example.com",
        "ü" * 33 + "@example.com",
        "kim@" + "a" * 64 + ".com",
        "a@" + "b." * 126 + "cc",
        7,
        None,
        True,
        {"mail": "kim@example.com"},
        ["kim@example.com"],
    ],
)
def test_what_it_can_not_be_sent_to(value: object) -> None:
    assert fault_in_address(as_address(value))


def test_a_domain_is_the_same_in_any_case_and_a_name_is_not() -> None:
    assert as_address(" Kim@Example.COM ") == "Kim@example.com"
    assert as_address("kim@BÜCHER.example") == "kim@bücher.example"


def test_a_domain_goes_out_as_dns_has_it() -> None:
    assert ascii_domain("bücher.example") == "xn--bcher-kva.example"
    with pytest.raises(ValueError, match="label"):
        ascii_domain("a..b")


def test_others_see_who_it_is_from_only_roughly() -> None:
    assert masked("kim@example.com") == "k***@example.com"
    assert masked("k@example.com") == "k***@example.com"
    assert masked("nonsense") == "***"
    assert masked("") == ""


@given(st.one_of(st.text(), st.from_regex(r"[^@]{0,10}@[^@]{0,10}"), st.integers(), st.none(), st.lists(st.text())))
def test_whatever_stands_there_can_be_kept_shown_and_asked_for_again(value: object) -> None:
    address = as_address(value)
    assert address.isprintable()
    assert len(address) <= LONGEST + 1
    address.encode()
    assert as_address(address) == address.strip(" ")
    if fault_in_address(address) is None:
        assert " " not in address
        assert address.count("@") == 1
        assert ascii_domain(address.partition("@")[2])
