"""Dictionaries as dictd has them, made on the spot."""

import gzip

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def to_digits(number):
    digits = DIGITS[number % 64]
    while number := number // 64:
        digits = DIGITS[number % 64] + digits
    return digits


def write_freedict(directory, name, entries, *, packed=True):
    """Write a dictionary of (headword, text of the entry); returns the path of its index."""
    about = [("00-database-info", "00-database-info\nA dictionary\n, of water")]
    data, lines = b"", []
    for headword, text in [*about, *entries]:
        body = text.encode()
        lines.append(f"{headword}\t{to_digits(len(data))}\t{to_digits(len(body))}\n")
        data += body
    directory.mkdir(exist_ok=True, parents=True)
    path = directory / f"{name}.dict{'.dz' if packed else ''}"
    path.write_bytes(gzip.compress(data) if packed else data)
    (directory / f"{name}.index").write_text("".join(lines), encoding="utf8")
    return directory / f"{name}.index"
