"""What AWS's parser says of a text that is not JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from process_executor.jackson import SOURCE, fault

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
QUOTE_EXPECTED = "was expecting double-quote to start field name"
ESCAPE_EXPECTED = "has to be escaped using backslash to be included in string value"
DIGIT_EXPECTED = "expected digit (0-9) to follow minus sign, for valid numeric value"
FIRST = f"[{SOURCE}; line: 1, column: 1]"

# As Jackson 2.17.2 answers; the first two are also LocalStack's recordings of AWS.
FAULTS = [
    (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87", 1, 3),
    (b"\x99\xeb,j\x07\xa1zYh", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", 1, 1),
    (b"Hello World", f"Unrecognized token 'Hello': was expecting {VALUES}", 1, 7),
    (b"\n\n  nullx", f"Unrecognized token 'nullx': was expecting {VALUES}", 3, 8),
    (b"a" * 300, f"Unrecognized token '{'a' * 256}...': was expecting {VALUES}", 1, 257),
    (b"\xef\xbb\xbfx", f"Unrecognized token 'x': was expecting {VALUES}", 1, 5),
    (b"'text'", f"Unexpected character (''' (code 39)): expected a valid value {VALUES}", 1, 1),
    (b"NaN", "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow", 1, 4),
    (b'{"a": 1', f"Unexpected end-of-input: expected close marker for Object (start marker at {FIRST})", 1, 8),
    (b'{"a"', "Unexpected end-of-input within/between Object entries", 1, 5),
    (b'{"a', "Unexpected end-of-input in field name", 1, 4),
    (b'["a', "Unexpected end-of-input in VALUE_STRING", 1, 4),
    (b"[true, -", "Unexpected end-of-input in VALUE_TRUE", 1, 9),
    (b'["\\u1', "Unexpected end-of-input in character escape sequence", 1, 6),
    (b"{'a': 1}", f"Unexpected character (''' (code 39)): {QUOTE_EXPECTED}", 1, 2),
    (b'{"a": 1,}', f"Unexpected character ('}}' (code 125)): {QUOTE_EXPECTED}", 1, 9),
    (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 1, 6),
    (b'{"a": 1 "b"}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 1, 9),
    (b"[1,]", "Unexpected character (']' (code 93)): expected a value", 1, 4),
    (b"[1}", f"Unexpected close marker '}}': expected ']' (for Array starting at {FIRST})", 1, 3),
    (b'"a\nb"', f"Illegal unquoted character ((CTRL-CHAR, code 10)): {ESCAPE_EXPECTED}", 1, 3),
    (b'"\\x"', "Unrecognized character escape 'x' (code 120)", 1, 3),
    (b'"\xc3("', "Invalid UTF-8 middle byte 0x28", 1, 4),
    (b'{"\xff":1}', "Invalid UTF-8 start byte 0xff", 1, 5),
    (b"01", "Invalid numeric value: Leading zeroes not allowed", 1, 2),
    (b"-a", f"Unexpected character ('a' (code 97)) in numeric value: {DIGIT_EXPECTED}", 1, 2),
    (b"1.", "Unexpected character ('.' (code 46)) in numeric value: Decimal point not followed by a digit", 1, 2),
    (b"2000-01-01", "Unexpected character ('-' (code 45)): Expected space separating root-level values", 1, 5),
]


@pytest.mark.parametrize(("text", "words", "line", "column"), FAULTS)
def test_fault_is_told_in_jacksons_words(text, words, line, column):
    """The first fault, and where the parser stands when it meets it."""
    assert fault(text) == f"{words}\n at [{SOURCE}; line: {line}, column: {column}]"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
OBJECTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(OBJECTS, st.booleans())
def test_json_has_no_fault(value, ascii_only):
    """Whatever Python writes is taken."""
    assert fault(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")) is None


@given(st.binary(max_size=50) | st.text(st.sampled_from('{}[]:,"\\ \n0123-+.eEInNtu')).map(str.encode))
def test_any_bytes_are_read(text):
    """There is a fault or there is none; what Python takes has none."""
    found = fault(text)
    try:
        json.loads(text.decode(), parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return
    assert found is None


@pytest.mark.parametrize("text", [b"", b"  ", b"{} trailing", '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}"])
def test_what_the_parser_takes_has_no_fault(text):
    """It looks no further than the first value, and knows other encodings."""
    assert fault(text) is None
