"""Stands in for binascii in the ported cases, whose byte strings are latin-1 text."""

import binascii


def b2a_hex(text):
    if text is None:
        return ""
    return binascii.b2a_hex(text.encode("latin-1") if isinstance(text, str) else text).decode()


def a2b_hex(text):
    return binascii.a2b_hex(text).decode("latin-1")
