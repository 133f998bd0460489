"""What a claim says, and what is refused of a stranger's."""

import pytest

from headrace.schemas.claims import Claim, ClaimLostError

DATA = b"much data"
CLAIM = Claim.of("shop/2026-01-02/arguments-1", DATA)


def test_a_claim_comes_back_as_it_was_written() -> None:
    assert Claim.read(str(CLAIM)) == CLAIM


@pytest.mark.parametrize(
    "key",
    [
        "../secrets",
        "shop/../../etc/passwd",
        "/etc/passwd",
        "shop//x",
        "shop/.hidden",
        "shop/..",
        "shop/",
        "",
        "s3://other/x",
        "shop/x\x00",
        "shop/x\n",
        "shop\\..\\x",
        "~/x",
        "x" * 600,
    ],
)
def test_a_key_that_leads_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(ClaimLostError, match="is no claim"):
        Claim.read(str(CLAIM._replace(key=key)))


@pytest.mark.parametrize("text", ["", "v2;length=1;sha256=0;key=a", str(CLAIM)[:-1] + ";x", "v1"])
def test_what_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(ClaimLostError, match="is no claim"):
        Claim.read(text)


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"!", b"else data"])
def test_altered_data_is_refused(data: bytes) -> None:
    CLAIM.check(DATA)
    with pytest.raises(ClaimLostError, match="was altered"):
        CLAIM.check(data)
