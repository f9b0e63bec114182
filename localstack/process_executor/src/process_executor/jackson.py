"""What Jackson, with which AWS reads the payload of Invoke, says of a text that is not JSON.

LocalStack's recordings of AWS have its words, and its columns as versions 2.17 to 2.20 count them.
"""

import re
import unicodedata
from typing import NoReturn

BOM = b"\xef\xbb\xbf"
QUOTE, BACKSLASH, COMMA, COLON = b'"\\,:'
# What stands for itself in a string.
PLAIN = re.compile(rb"[ !#-\[\]-\x7f]+")
DIGITS = b"0123456789"
VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
SOURCE = "Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
NOT_ENABLED = "enable `JsonReadFeature.%s` to allow"
LITERALS = {ord(word[0]): word for word in ("true", "false", "null")}
NOT_NUMBERS = {ord(word[0]): word for word in ("NaN", "Infinity")}
TOKEN_LIMIT = 256
# Unicode's categories of what Java lets an identifier begin with, and consist of.
STARTS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Sc", "Pc"}
PARTS = STARTS | {"Nd", "Mn", "Mc", "Cf"}


class NotJson(Exception):
    """The first fault of a text and its place."""


def fault(text: bytes) -> str | None:
    """The first fault of a text; None where Jackson finds none: it looks no further than the first value."""
    if 0 in text[:4] or text[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return None  # UTF-16 or UTF-32
    try:
        Reader(text).read()
    except NotJson as found:
        return str(found)
    return None


class Reader:
    """Reads a text as Jackson does: in the same order, so that it meets the same fault first."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = len(BOM) if text.startswith(BOM) else 0
        self._line = 1
        self._line_start = 0
        self._last = "null"  # token, which some faults name
        self._open: list[tuple[str, str]] = []  # Object or Array, and where it starts
        self._begun: list[bool] = []  # whether that has an entry already

    def read(self) -> None:
        """Read the first value.

        Raises:
            NotJson: with Jackson's message.
        """
        byte = self._next_after_space()
        if byte is not None:
            self._close(byte) if byte in b"]}" else self._value(byte)
        while self._open:
            self._entry()

    # --- Objects and arrays ----------------------------------------------------------------------------------------

    def _entry(self) -> None:
        kind, start = self._open[-1]
        byte = self._next_after_space()
        if byte is None:
            self._end(f": expected close marker for {kind} (start marker at {start})")
        if byte in b"]}":
            self._close(byte)
            return
        if self._begun[-1]:
            if byte != COMMA:
                self._unexpected(byte, f"was expecting comma to separate {kind} entries")
            byte = self._needed_after_space()
        self._begun[-1] = True
        if kind == "Object":
            self._name(byte)
            self._last = "FIELD_NAME"
            byte = self._needed_after_space()
            if byte != COLON:
                self._unexpected(byte, "was expecting a colon to separate field name and value")
            byte = self._needed_after_space()
        self._value(byte)

    def _close(self, byte: int) -> None:
        kind, start = self._open[-1] if self._open else ("root", f"[{SOURCE}; line: 1]")
        right, last = {"Object": (b"}", "END_OBJECT"), "Array": (b"]", "END_ARRAY")}.get(kind, (b"", ""))
        if byte not in right:
            expected = "}" if byte in b"]" else "]"
            text = f"Unexpected close marker '{byte:c}': expected '{expected}' (for {kind} starting at {start})"
            self._fail(text, back=1)
        self._last = last
        self._open.pop()
        self._begun.pop()

    def _name(self, byte: int) -> None:
        if byte != QUOTE:
            self._unexpected(self._character(byte), "was expecting double-quote to start field name")
        start = self._at
        if start >= len(self._text):
            self._end(": was expecting closing '\"' for name")
        while (byte := self._next_special(" in field name")) != QUOTE:
            self._check_ascii(byte, "name")
        end = self._at - 1
        while start < end:  # only now, as Jackson does
            following = start + 1 + self._continuation(self._text[start])
            if following > end:
                self._end(" in field name")
            for byte in self._text[start + 1 : following]:
                self._check_middle(byte)
            start = following

    # --- Values ----------------------------------------------------------------------------------------------------

    def _value(self, byte: int) -> None:
        if byte == QUOTE:
            self._last = "VALUE_STRING"
            while (byte := self._next_special()) != QUOTE:
                self._check_ascii(byte, "string value")
                self._character(byte)
        elif byte in b"[{":
            kind, self._last = ("Array", "START_ARRAY") if byte in b"[" else ("Object", "START_OBJECT")
            self._open.append((kind, self._place(back=1)))
            self._begun.append(False)
        elif byte in LITERALS:
            self._literal(LITERALS[byte])
            self._last = f"VALUE_{LITERALS[byte].upper()}"
        elif byte in b"-0123456789":
            self._number(byte)
        else:
            self._no_value(byte)

    def _no_value(self, byte: int) -> NoReturn:
        in_array = bool(self._open) and self._open[-1][0] == "Array"
        if byte in b",}" or (byte in b"]" and in_array):
            self._unexpected(byte, "expected a value")
        if byte in NOT_NUMBERS:
            word = NOT_NUMBERS[byte]
            self._literal(word)
            self._not_number(word)
        if byte in b"+":
            self._no_number(self._next(" in a Number value"), "+")
        if unicodedata.category(chr(byte)) in STARTS:
            self._unrecognized(chr(byte))
        self._unexpected(byte, f"expected a valid value {VALUES}")

    def _literal(self, word: str, matched: int = 1) -> None:
        for length in range(matched, len(word)):
            if self._peek() != ord(word[length]):
                self._unrecognized(word[:length])
            self._at += 1
        byte = self._peek()
        if byte is not None and byte >= ord("0") and byte not in b"]}" and is_part(chr(self._character(byte))):
            self._unrecognized(word)

    def _number(self, byte: int) -> None:
        if byte in b"-":
            byte = self._next()
            if byte in b".":
                self._no_value(byte)
            if byte not in DIGITS:
                self._no_number(byte, "-")
        following = self._peek()
        if byte in b"0" and following is not None and following in DIGITS:
            self._fail("Invalid numeric value: Leading zeroes not allowed")
        end = self._after_digits()
        whole = end is None or end not in b".eE"
        end = self._after_fraction(end)
        self._last = "VALUE_NUMBER_INT" if whole else "VALUE_NUMBER_FLOAT"
        if end is not None:
            if not self._open and end not in b" \t\r\n":
                self._unexpected(end, "Expected space separating root-level values")
            self._at -= 1

    def _after_fraction(self, end: int | None) -> int | None:
        if end is not None and end in b".":
            start = self._at
            end = self._after_digits()
            if self._at == start + (end is not None):
                text = "Decimal point not followed by a digit"
                self._unexpected_in_number(ord(".") if end is None else end, text)
        if end is not None and end in b"eE":
            byte = self._next()
            if byte in b"+-":
                byte = self._next()
            if byte not in DIGITS:
                self._unexpected_in_number(byte, "Exponent indicator not followed by a digit")
            end = self._after_digits()
        return end

    def _after_digits(self) -> int | None:
        while (byte := self._peek()) is not None:
            self._at += 1
            if byte not in DIGITS:
                return byte
        return None

    def _no_number(self, byte: int, sign: str) -> NoReturn:
        if byte in b"I":
            byte = self._next(" in a Number value")
            if byte in b"Nn":
                word = f"{sign}INF" if byte in b"N" else f"{sign}Infinity"
                self._literal(word, 3)
                self._not_number(word)
        if sign == "+":
            hint = NOT_ENABLED % "ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS"
            self._unexpected_in_number(ord("+"), f"JSON spec does not allow numbers to have plus signs: {hint}")
        text = "expected digit (0-9) to follow minus sign, for valid numeric value"
        self._unexpected_in_number(byte, text)

    # --- Characters ------------------------------------------------------------------------------------------------

    def _check_ascii(self, byte: int, where: str) -> None:
        if byte == BACKSLASH:
            self._escape()
        elif byte < ord(" "):
            text = f"has to be escaped using backslash to be included in {where}"
            self._fail(f"Illegal unquoted character ({described(byte)}): {text}", back=1)

    def _escape(self) -> None:
        end = " in character escape sequence"
        byte = self._next(end)
        if byte in b"u":
            for _ in range(4):
                byte = self._next(end)
                if byte not in b"0123456789abcdefABCDEF":
                    self._unexpected(byte, "expected a hex-digit for character escape sequence")
        elif byte not in b'btnfr"/\\':
            self._fail(f"Unrecognized character escape {described(self._character(byte))}", back=1)

    def _character(self, byte: int) -> int:
        """The character that starts with ``byte``, as a Java ``char``."""
        more = self._continuation(byte)
        code = byte if not more else byte & (0x3F >> more)
        for _ in range(more):
            byte = self._next()
            self._check_middle(byte)
            code = code << 6 | byte & 0x3F
        return code & 0xFFFF

    def _continuation(self, byte: int) -> int:
        for more, mask, lead in ((0, 0x80, 0), (1, 0xE0, 0xC0), (2, 0xF0, 0xE0), (3, 0xF8, 0xF0)):
            if byte & mask == lead:
                return more
        return self._fail(f"Invalid UTF-8 start byte 0x{byte:x}")

    def _check_middle(self, byte: int) -> None:
        if byte & 0xC0 != 0x80:
            self._fail(f"Invalid UTF-8 middle byte 0x{byte:x}")

    def _peek(self) -> int | None:
        return self._text[self._at] if self._at < len(self._text) else None

    def _next(self, end: str = "") -> int:
        byte = self._peek()
        if byte is None:
            self._end(end or f" in {self._last}")
        self._at += 1
        return byte

    def _next_special(self, end: str = "") -> int:
        plain = PLAIN.match(self._text, self._at)
        self._at = plain.end() if plain else self._at
        return self._next(end)

    def _needed_after_space(self) -> int:
        byte = self._next_after_space()
        if byte is None:
            self._end(f" within/between {self._open[-1][0]} entries")
        return byte

    def _next_after_space(self) -> int | None:
        while (byte := self._peek()) is not None:
            self._at += 1
            if byte in b"\r" and self._peek() == ord("\n"):
                self._at += 1
            if byte in b"\r\n":
                self._line += 1
                self._line_start = self._at
            elif byte in b"/":
                hint = "(not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
                self._unexpected(byte, f"maybe a (non-standard) comment? {hint}")
            elif byte > ord(" "):
                return byte
            elif byte not in b" \t":
                text = r"only regular white space (\r, \n, \t) is allowed between tokens"
                self._fail(f"Illegal character ({described(byte)}): {text}")
        return None

    # --- Faults ----------------------------------------------------------------------------------------------------

    def _unrecognized(self, token: str) -> NoReturn:
        while (byte := self._peek()) is not None:
            self._at += 1
            character = chr(self._character(byte))
            if not is_part(character):
                break
            token += character
            if len(token) >= TOKEN_LIMIT:
                token += "..."
                break
        self._fail(f"Unrecognized token '{token}': was expecting {VALUES}")

    def _not_number(self, word: str) -> NoReturn:
        self._fail(f"Non-standard token '{word}': {NOT_ENABLED % 'ALLOW_NON_NUMERIC_NUMBERS'}")

    def _unexpected(self, code: int, text: str) -> NoReturn:
        self._fail(f"Unexpected character ({described(code)}): {text}", back=1)

    def _unexpected_in_number(self, code: int, text: str) -> NoReturn:
        self._fail(f"Unexpected character ({described(code)}) in numeric value: {text}", back=1)

    def _end(self, text: str) -> NoReturn:
        self._fail(f"Unexpected end-of-input{text}")

    def _fail(self, text: str, back: int = 0) -> NoReturn:
        raise NotJson(f"{text}\n at {self._place(back)}")

    def _place(self, back: int = 0) -> str:
        return f"[{SOURCE}; line: {self._line}, column: {self._at - self._line_start + 1 - back}]"


def described(code: int) -> str:
    """A character with its number, as in a fault."""
    if unicodedata.category(chr(code)) == "Cc":
        return f"(CTRL-CHAR, code {code})"
    return f"'{chr(code)}' (code {code})" if code < 0x100 else f"'{chr(code)}' (code {code} / 0x{code:x})"


def is_part(character: str) -> bool:
    """Whether Java lets an identifier have it."""
    category = unicodedata.category(character)
    return category in PARTS or (category == "Cc" and character not in "\t\n\v\f\r\x1c\x1d\x1e\x1f")
