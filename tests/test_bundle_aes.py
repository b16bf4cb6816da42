"""Encrypted files: what openssl and `octo` encrypt the server reads, and of those in our format not a bit can be changed."""

import base64
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import cli
from octopod.bundle import aes
from octopod.bundle.aes import BadAes, decrypt

KEY = "T0ken+/of=32"
PLAIN = b"password: s3cret\n"
DERIVATIONS = {"md5": ["-md", "md5"], "sha256": ["-md", "sha256"], "today": [], "pbkdf2": ["-pbkdf2"]}
ARMOURS = {"base64": ["-base64"], "one line": ["-base64", "-A"], "bare": []}
PLAINS = {
    "nothing": b"",
    "a byte": b"x",
    "almost a block": b"x" * 15,
    "a block": b"x" * 16,
    "more than a block": b"x" * 17,
    "text": "clé: été\n".encode() * 5000,
    "every byte": bytes(range(256)) * 40,
}
# What openssl made of PLAIN, in each of the three ways.
VECTORS = {
    "md5": b"U2FsdGVkX18tv03lx0AziD12TFr7N4IPbAlX9BO2V9vQDmqSfjRN1XKILyPZDIwb\n",
    "sha256": b"U2FsdGVkX1/Kt5QsXMcTD0hVd8bb0PUNEIsUjldhNmodvqBPdZX0wp4YWV11K5p2\n",
    "pbkdf2": b"U2FsdGVkX1/mInqVdDWueg1OXMHanQtYTzgTQqoeRXm7Wm/Uo8/SlweD4DC6nKSN\n",
}
# As openssl does it today; but the key derived with MD5 fits too, and gives garbage.
AMBIGUOUS = {
    PLAIN: b"U2FsdGVkX19m5lupl9Mvns78YG2JP1tgjZcPG3OBIgeRYvUk0lagI0KOtO/v1HF6\n",
    b"\xff\xfe\x00": b"U2FsdGVkX1/LJKM51G795zgpFVdqxMr2MOn2o1gzOhs=\n",
}


def encrypt(plain: bytes, key: str) -> bytes:
    return cli.encrypted(plain, key.encode())


def encrypt_openssl(plain: bytes, key: str) -> bytes:
    return cli.encrypted_openssl(plain, key.encode())


SECRET = encrypt(PLAIN, KEY)


def openssl(data: bytes, *options: str, key: str = KEY) -> bytes:
    """What `openssl enc` makes of it."""
    command = ["openssl", "enc", "-aes-256-cbc", "-k", key, *options]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def refusal(data: bytes, key: str = KEY) -> str:
    with pytest.raises(BadAes) as refused:
        decrypt(data, key)
    return str(refused.value)


# --- openssl's format


@pytest.mark.parametrize("plain", PLAINS.values(), ids=PLAINS)
@pytest.mark.parametrize("armour", ARMOURS.values(), ids=ARMOURS)
@pytest.mark.parametrize("derivation", DERIVATIONS.values(), ids=DERIVATIONS)
def test_what_openssl_encrypts_is_decrypted(derivation, armour, plain):
    assert decrypt(openssl(plain, *derivation, *armour), KEY) == plain


@pytest.mark.parametrize("plain", PLAINS.values(), ids=PLAINS)
def test_openssl_decrypts_what_is_encrypted_for_it(plain):
    secret = encrypt_openssl(plain, KEY)
    assert openssl(secret, "-d", "-base64") == plain
    assert decrypt(secret, KEY) == plain


@pytest.mark.parametrize("key", ["k", "with space", "a'b\"c", "clé"])
def test_any_key_is_the_same_for_openssl(key):
    assert openssl(encrypt_openssl(PLAIN, key), "-d", "-base64", key=key) == PLAIN
    assert decrypt(openssl(PLAIN, "-base64", key=key), key) == PLAIN


@pytest.mark.parametrize("secret", VECTORS.values(), ids=VECTORS)
def test_wrong_key_does_not_fit(secret):
    assert decrypt(secret, KEY) == PLAIN
    assert refusal(secret, "wrong key") == "it was encrypted with another key"


@pytest.mark.parametrize(("plain", "secret"), AMBIGUOUS.items(), ids=["text", "binary"])
def test_most_likely_counts_when_several_derivations_fit(plain, secret):
    raw = base64.b64decode(secret)
    assert aes._decrypt_cbc(raw[16:], aes._md5(KEY.encode(), raw[8:16])) not in (None, plain)
    assert decrypt(secret, KEY) == plain


# --- both formats


def test_armour_is_what_openssl_has():
    for secret in (encrypt(PLAIN * 20, KEY), encrypt_openssl(PLAIN * 20, KEY)):
        raw = base64.b64decode(secret)
        assert subprocess.run(["openssl", "base64"], input=raw, capture_output=True, check=True).stdout == secret


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret.rstrip(b"\n"),
        lambda secret: secret.replace(b"\n", b"\r\n"),
        lambda secret: secret.replace(b"\n", b""),
        lambda secret: b"\n" + secret + b"\n\n",
        base64.b64decode,
    ],
    ids=["no last newline", "CRLF", "one line", "empty lines", "bare"],
)
@pytest.mark.parametrize("make", [encrypt, encrypt_openssl])
def test_armour_may_be_changed_or_missing(make, change):
    assert decrypt(change(make(PLAIN * 20, KEY)), KEY) == PLAIN * 20


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it was encrypted neither by `octo encrypt` nor by `openssl enc`"),
        (b"password: s3cret\n", "it is not base64"),
        (b"\xff\xfe\x00", "it is not base64"),
        (b"cGxhaW4gdGV4dA==\n", "it was encrypted neither by `octo encrypt` nor by `openssl enc`"),
        (b"Salted__", "it is cut off"),
        (b"Salted__12345678", "it is cut off"),
        (b"Salted__12345678" + bytes(17), "it is cut off"),
        (b"Octopod1", "it is cut off"),
        (b"Octopod1" + bytes(28 + 15), "it is cut off"),
        (b"Octopod1" + bytes(28 + 16), "it was encrypted with another key, or changed since"),
    ],
)
def test_what_is_not_encrypted_is_refused(data, sentence):
    assert refusal(data) == sentence


@pytest.mark.parametrize("size", [1, 11, 12, 40, 60, 63])
def test_what_is_cut_off_is_refused(size):
    assert refusal(VECTORS["md5"][:size])
    assert refusal(SECRET[:size])


# --- ours


@pytest.mark.parametrize("plain", PLAINS.values(), ids=PLAINS)
def test_what_is_encrypted_is_decrypted(plain):
    secret = encrypt(plain, KEY)
    assert base64.b64decode(secret).startswith(b"Octopod1")
    assert decrypt(secret, KEY) == plain


def test_nobody_can_tell_that_a_text_was_encrypted_twice():
    assert base64.b64decode(encrypt(PLAIN, KEY))[8:24] != base64.b64decode(encrypt(PLAIN, KEY))[8:24]


def test_another_key_does_not_fit():
    for key in ("", KEY + "x", KEY.lower()):
        assert refusal(SECRET, key) == "it was encrypted with another key, or changed since"


@pytest.mark.parametrize("at", [8, 23, 24, 35, 36, 40, -17, -16, -1], ids=str)
def test_no_bit_can_be_changed(at):
    raw = bytearray(base64.b64decode(SECRET))
    raw[at] ^= 1
    assert refusal(bytes(raw)) == "it was encrypted with another key, or changed since"


def test_file_of_many_megabytes_is_decrypted():
    plain = bytes(range(256)) * (8 << 12)
    assert decrypt(encrypt(plain, KEY), KEY) == plain
    assert decrypt(encrypt_openssl(plain, KEY), KEY) == plain


keys = some.text(some.characters(exclude_categories=["Cs"]))


@given(plain=some.binary(max_size=100), key=keys)
@settings(max_examples=10)
def test_anything_comes_back(plain, key):
    assert decrypt(encrypt(plain, key), key) == plain


@given(plain=some.text(max_size=100).map(str.encode), key=keys)
@settings(max_examples=50)
def test_any_text_comes_back_from_the_format_of_openssl(plain, key):
    assert decrypt(encrypt_openssl(plain, key), key) == plain
