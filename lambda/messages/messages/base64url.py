"""Base64url as RFC 7515 means it: no padding, no white space, one text for one value.

The decoders of the standard library skip what they do not know, so many texts decode to the same bytes and a
mangled copy of a good token would pass for the token.
Source: RFC 7515 appendix C, RFC 4648 sections 3.3 and 3.5.
"""

import binascii

_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", None, b"==", b"=")
# The characters whose unused low bits are zero, by the length of the last group.
_LAST = (None, None, frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))


def decode(text: bytes) -> bytes:
    """Decode unpadded base64url.

    Raises:
        ValueError: a character outside the alphabet, a length that no value has, or unused bits that are not zero.
    """
    group = len(text) % 4
    padding = _PADDING[group]
    if padding is None:
        raise ValueError("no value has this length")
    allowed = _LAST[group]
    if allowed is not None and text[-1] not in allowed:
        raise ValueError("unused bits are not zero")
    return binascii.a2b_base64(text.translate(_TO_BASE64) + padding, strict_mode=True)
