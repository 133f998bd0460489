"""The shop's bank: this one knows its cards by their first digit.

Cards that begin with 4 pay. With 5 the bank is busy, with 0 the line breaks; any other is unknown.
"""


class UnknownCardError(Exception):
    """Nobody knows the card: trying again cannot help."""


class BankBusyError(Exception):
    """The bank asks to come back later."""


class LineBrokenError(Exception):
    """No answer came: the money may have been taken, or not."""


def capture(card: str, cents: int, *, reference: str) -> str:
    """Take money from a card; gives a receipt. The same reference is never charged twice.

    Raises:
        UnknownCardError: There is no such card.
        BankBusyError: Come back later.
        LineBrokenError: No answer came.
    """
    match card[:1]:
        case "4":
            return f"receipt-{reference}-{cents}"
        case "5":
            raise BankBusyError(f"busy: ask again later for {reference}")
        case "0":
            raise LineBrokenError(f"no answer about {reference}")
        case _:
            raise UnknownCardError(f"no card ends with {card[-4:]!r}")
