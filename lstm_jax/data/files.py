"""Text files: UTF-8, or a sentence that says where they are not."""

from pathlib import Path

from lstm_jax.errors import UserError


def read_text(where: str, file: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Args:
      where: what named the file, for messages.
      file: the file.

    Raises:
      UserError: it cannot be read, is not UTF-8, or holds no text.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{where}: cannot read {file} ({error.strerror})") from None
    text = decode(f"{where}: {file}", content)
    if not text.strip():
        raise UserError(f"{where}: {file} holds no text")
    return text


def decode(what: str, content: bytes) -> str:
    """Bytes as text.

    Args:
      what: the name of the bytes, for messages.
      content: the bytes; a byte order mark is taken off.

    Raises:
      UserError: they are not UTF-8; the first byte that is not is named, with its line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder does not count a byte order mark that it took off.
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, start) + 1
        raise UserError(
            f"{what} is not UTF-8: byte {start} is 0x{content[start]:02x} in line {line} "
            f"({error.reason}); convert it, for instance with iconv"
        ) from None
