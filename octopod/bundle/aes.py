"""Encrypted files of bundles.

Two formats, told apart by their first 8 bytes, both in base64 (64 columns) or bare:

- `Salted__`: what `openssl enc -aes-256-cbc` writes: a salt of 8 bytes, then AES-256-CBC with PKCS#7 padding. Key and IV
  come from the passphrase in one of three ways, and it is not recorded in which (see `DERIVATIONS`). Nothing tells
  whether somebody has changed such a file, and of wrong keys one in a hundred seems to fit.
- `Octopod1`: ours: a salt of 16 bytes, a nonce of 12, then AES-256-GCM with its tag. The key is scrypt's of the
  passphrase; all that stands before the ciphertext is authenticated too.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

OPENSSL, OURS = b"Salted__", b"Octopod1"
MAGIC = 8
BLOCK, KEY = 16, 32
OPENSSL_SALT, SALT, NONCE, TAG = 8, 16, 12, 16
OPENSSL_ITERATIONS = 10_000
SCRYPT_MEMORY = 64 << 20  # twice of what these parameters need; the default is just too little

Derivation = Callable[[bytes, bytes], bytes]


class BadAes(Exception):
    """Why something cannot be decrypted: the end of a sentence."""


def decrypt(data: bytes, key: str) -> bytes:
    """The plain text of either format. Raises BadAes."""
    raw = data if data.startswith((OPENSSL, OURS)) else _without_armour(data)
    if raw.startswith(OPENSSL):
        return _decrypt_openssl(raw, key.encode())
    if raw.startswith(OURS):
        return _decrypt_ours(raw, key.encode())
    raise BadAes("it was encrypted neither by `octo encrypt` nor by `openssl enc`")


def _without_armour(data: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raise BadAes("it is not base64") from None


# --- openssl's format


def _bytes_to_key(digest: str) -> Derivation:
    """EVP_BytesToKey of OpenSSL, with one iteration."""

    def derive(passphrase: bytes, salt: bytes) -> bytes:
        made = last = b""
        while len(made) < KEY + BLOCK:
            last = hashlib.new(digest, last + passphrase + salt, usedforsecurity=False).digest()
            made += last
        return made[: KEY + BLOCK]

    return derive


def _pbkdf2(passphrase: bytes, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase, salt, OPENSSL_ITERATIONS, KEY + BLOCK)


_md5, _sha256 = _bytes_to_key("md5"), _bytes_to_key("sha256")
# The default of OpenSSL before 1.1.0, that since, and what it asks for with a warning since 1.1.1 (-pbkdf2).
DERIVATIONS: tuple[Derivation, ...] = (_md5, _sha256, _pbkdf2)


def _decrypt_openssl(raw: bytes, passphrase: bytes) -> bytes:
    salt, secret = raw[MAGIC : MAGIC + OPENSSL_SALT], raw[MAGIC + OPENSSL_SALT :]
    if not secret or len(secret) % BLOCK:
        raise BadAes("it is cut off")
    tried = [_decrypt_cbc(secret, derive(passphrase, salt)) for derive in DERIVATIONS]
    fitting = [plain for plain in tried if plain is not None]
    if not fitting:
        raise BadAes("it was encrypted with another key")
    # Text comes out by chance hardly ever, and neither does much padding: the shortest has the most.
    return min(fitting, key=lambda plain: (not _is_text(plain), len(plain)))


def _decrypt_cbc(secret: bytes, derived: bytes) -> bytes | None:
    """The plain text, or None where its padding says that the key is wrong."""
    decryptor = _cbc(derived).decryptor()
    padded = decryptor.update(secret) + decryptor.finalize()
    count = padded[-1]
    fits = 1 <= count <= BLOCK and padded.endswith(bytes([count]) * count)
    return padded[:-count] if fits else None


def _cbc(derived: bytes) -> "Cipher[modes.CBC]":
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(derived[:KEY]), modes.CBC(derived[KEY:]))


def _is_text(plain: bytes) -> bool:
    try:
        plain.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- ours


def _decrypt_ours(raw: bytes, passphrase: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = raw[: MAGIC + SALT + NONCE]
    salt, nonce, secret = head[MAGIC : MAGIC + SALT], head[MAGIC + SALT :], raw[len(head) :]
    if len(secret) < TAG:
        raise BadAes("it is cut off")
    try:
        return AESGCM(_scrypt(passphrase, salt)).decrypt(nonce, secret, head)
    except InvalidTag:
        raise BadAes("it was encrypted with another key, or changed since") from None


def _scrypt(passphrase: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase, salt=salt, n=1 << 15, r=8, p=1, maxmem=SCRYPT_MEMORY, dklen=KEY)
