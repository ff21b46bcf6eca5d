"""E-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.email_addresses import MAX_ADDRESS_BYTES, as_address, ascii_domain, fault_in_address, masked


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
def test_valid_addresses_are_accepted(address: str) -> None:
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
def test_invalid_addresses_are_refused(value: object) -> None:
    assert fault_in_address(as_address(value))


def test_domains_ignore_case_and_local_parts_do_not() -> None:
    assert as_address(" Kim@Example.COM ") == "Kim@example.com"
    assert as_address("kim@BÜCHER.example") == "kim@bücher.example"


def test_a_domain_is_sent_in_its_dns_form() -> None:
    assert ascii_domain("bücher.example") == "xn--bcher-kva.example"
    with pytest.raises(ValueError, match="label"):
        ascii_domain("a..b")


def test_a_masked_address_shows_only_its_first_letter_and_domain() -> None:
    assert masked("kim@example.com") == "k***@example.com"
    assert masked("k@example.com") == "k***@example.com"
    assert masked("nonsense") == "***"
    assert masked("") == ""


@given(st.one_of(st.text(), st.from_regex(r"[^@]{0,10}@[^@]{0,10}"), st.integers(), st.none(), st.lists(st.text())))
def test_any_accepted_address_is_storable_maskable_and_stable(value: object) -> None:
    address = as_address(value)
    assert address.isprintable()
    assert len(address) <= MAX_ADDRESS_BYTES + 1
    address.encode()
    assert as_address(address) == address.strip(" ")
    if fault_in_address(address) is None:
        assert " " not in address
        assert address.count("@") == 1
        assert ascii_domain(address.partition("@")[2])
