"""Signatures of bundles as openssl makes them, and the variables that callers may set."""

import subprocess
from pathlib import Path

import pytest

from octopod.bundle.signature import Digests, sign_v2
from octopod.bundle.variables import BadVariable, check, name_of

KEY = "T0ken+/of=32"
ARCHIVE = bytes(range(256)) * 10_000
REQUEST = ("/run/deploy.py+test.py", 1700000000, "n0nce_n0nce-n0nce", "ab" * 32)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (path := tmp_path / "bundle.tgz").write_bytes(ARCHIVE)
    return path


def openssl(message: bytes, algorithm: str, *options: str) -> str:
    """What `openssl dgst` makes of a message, in hex."""
    command = ["openssl", "dgst", f"-{algorithm}", *options]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout.decode().split()[-1]


def sign(archive: bytes, key: str, algorithm: str = "sha256") -> str:
    return f"{algorithm}={openssl(archive, algorithm, '-hmac', key)}"


# --- of the archive


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_signature_is_the_one_of_openssl(archive, algorithm):
    assert Digests(archive, [KEY]).find_key(sign(ARCHIVE, KEY, algorithm)) == KEY


def test_digest_of_an_archive_is_the_one_of_openssl(archive):
    assert Digests(archive, []).sha256 == openssl(ARCHIVE, "sha256")


def test_key_that_signed_is_found_among_several(archive):
    digests = Digests(archive, ["first", "second", "third"])
    assert [digests.find_key(sign(ARCHIVE, key)) for key in ("third", "first", "second")] == [
        "third",
        "first",
        "second",
    ]
    assert digests.find_key(sign(ARCHIVE, "fourth")) is None
    assert Digests(archive, []).find_key(sign(ARCHIVE, "first")) is None


def test_algorithm_that_is_not_wanted_does_not_count(archive):
    digests = Digests(archive, [KEY], ["sha256"])
    assert digests.find_key(sign(ARCHIVE, KEY, "sha1")) is None
    assert digests.find_key(sign(ARCHIVE, KEY, "sha256")) == KEY


RIGHT = sign(ARCHIVE, KEY)
WRONG = {
    "empty": "",
    "no algorithm": RIGHT.removeprefix("sha256="),
    "no digest": "sha256=",
    "capitals": f"sha256={RIGHT.removeprefix('sha256=').upper()}",
    "other algorithm": RIGHT.replace("sha256", "sha1"),
    "unknown algorithm": RIGHT.replace("sha256", "md5"),
    "space before": f" {RIGHT}",
    "newline behind": f"{RIGHT}\n",
    "cut off": RIGHT[:-1],
    "more": f"{RIGHT}0",
    "two": f"{RIGHT},{RIGHT}",
    "not ASCII": f"{RIGHT[:-1]}é",
    "surrogate": f"{RIGHT[:-1]}\udcff",
    "without key": f"sha256={openssl(ARCHIVE, 'sha256')}",
    "of less": sign(ARCHIVE[:-1], KEY),
}


@pytest.mark.parametrize("signature", WRONG.values(), ids=WRONG)
def test_wrong_signature_is_nobodys(archive, signature):
    assert Digests(archive, [KEY, "other"]).find_key(signature) is None


# --- of the request


def test_signature_of_a_request_is_the_one_of_openssl():
    message = f"octopod-v2\nPOST\n/run/déploy.py\n1700000000\nnonce\n{'ab' * 32}\nA_B=\nTARGET=qa =é"
    signature = sign_v2(KEY, "/run/déploy.py", 1700000000, "nonce", "ab" * 32, {"TARGET": "qa =é", "A_B": ""})
    assert signature == f"sha256={openssl(message.encode(), 'sha256', '-hmac', KEY)}"
    bare = "\n".join(message.splitlines()[:6])
    assert sign_v2(KEY, "/run/déploy.py", "1700000000", "nonce", "ab" * 32, {}) == (
        f"sha256={openssl(bare.encode(), 'sha256', '-hmac', KEY)}"
    )


def test_every_part_of_a_request_is_signed():
    changes = [("/run/test.py",), (1700000001,), ("n0nce_n0nce-n0ncf",), ("ac" * 32,)]
    requests = [REQUEST, *((*REQUEST[:at], *change, *REQUEST[at + 1 :]) for at, change in enumerate(changes))]
    variables: list[dict[str, str]] = [{}, {"A": "1"}, {"A": "2"}, {"B": "1"}, {"A": "1", "B": "1"}]
    signatures = [sign_v2(KEY, *request, {}) for request in requests]
    signatures += [sign_v2(KEY, *REQUEST, chosen) for chosen in variables[1:]]
    assert len({*signatures, sign_v2("other", *REQUEST, {})}) == len(signatures) + 1


@pytest.mark.parametrize("at", [0, 2, 3, 4])
def test_line_break_cannot_make_one_message_of_two_requests(at):
    parts = [*REQUEST, {"A": "1"}]
    parts[at] = {"A": "1\nB=2"} if at == 4 else f"{parts[at]}\nmore"
    with pytest.raises(ValueError, match="line break"):
        sign_v2(KEY, *parts)


# --- variables


@pytest.mark.parametrize(
    ("suffix", "name"),
    [("foo-bar", "FOO_BAR"), ("TARGET", "TARGET"), ("Target-Env", "TARGET_ENV"), ("a1", "A1"), ("a_b", "A_B")],
)
def test_header_is_spelled_as_a_variable(suffix, name):
    assert name_of(suffix) == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TARGET", "qa"),
        ("A", ""),
        ("A" * 64, "x"),
        ("DB_PASSWORD", "a b\t=é"),
        ("PATHS", "/bin"),
        ("HOMEPAGE", "x"),
        ("LANGUAGES", "x"),
        ("LDAP_URL", "x"),
        ("ENVIRONMENT", "qa"),
        ("OCTOPUS", "x"),
        ("TERMCAP", "x"),
        ("MANIFEST", "x"),
        ("MANPATH", "x"),
        ("GOAL", "x"),
        ("PGDATABASE", "x"),
        ("PGPASSWORD", "x"),
        ("AWS_REGION", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("DOCKER_IMAGE", "x"),
        ("TF_VAR_SIZE", "x"),
        ("LONG", "x" * 131_066),
    ],
)
def test_variable_is_taken(name, value):
    check({name: value})


@pytest.mark.parametrize("name", ["", "a", "1A", "_A", "A-B", "A B", "A=B", "A\n", "É", "A" * 65, "BASH_FUNC_ls%%"])
def test_name_that_is_none_is_refused(name):
    with pytest.raises(BadVariable, match="is not named with"):
        check({"GOOD": "x", name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "RUBYLIB",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "CLASSPATH",
        "BASH_ENV",
        "BASHOPTS",
        "ENV",
        "IFS",
        "SHELLOPTS",
        "PS4",
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "MALLOC_CHECK_",
        "NLSPATH",
        "LOCPATH",
        "TMPDIR",
        "GIT_SSH_COMMAND",
        "OPENSSL_CONF",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CALLBACK",
        "CALLBACK_DIR",
        "OCTOPOD_URL",
        "OCTO_AUTHORIZATION_HEADER",
        "HTTPS_PROXY",
        "PIP_INDEX_URL",
        "SSH_ASKPASS",
        "KUBECONFIG",
        "KUBE_EDITOR",
        "HELM_PLUGINS",
        "HELM_KUBEAPISERVER",
        "SSLKEYLOGFILE",
        "TAR_OPTIONS",
        "RSYNC_RSH",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "GTK_MODULES",
        "AWKPATH",
        "AWKLIBPATH",
        "FPATH",
        "ZDOTDIR",
        "ERL_FLAGS",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_CONFIG_FILE",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_HOST",
        "GOFLAGS",
        "GROFF_COMMAND_PREFIX",
        "JAVA_HOME",
        "KRB5_CONFIG",
        "MAGICK_CONFIGURE_PATH",
        "MANOPT",
        "PGHOST",
        "PGSSLMODE",
        "PSQLRC",
        "TF_CLI_CONFIG_FILE",
        "VAULT_ADDR",
        "ANSIBLE_LIBRARY",
    ],
)
def test_name_that_means_something_is_refused(name):
    with pytest.raises(BadVariable, match=rf"\AThe variable '{name}' is not for callers to set"):
        check({name: "x"})


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "a\rb", "\n"])
def test_value_that_would_break_a_line_is_refused(value):
    with pytest.raises(BadVariable, match="'TARGET' has a line break or a NUL in its value"):
        check({"TARGET": value})


def test_value_that_no_program_could_be_given_is_refused():
    with pytest.raises(BadVariable, match="131,071 bytes"):
        check({"LONG": "x" * 131_067})


def test_too_many_variables_are_refused():
    check({f"V{number}": "x" for number in range(100)})
    with pytest.raises(BadVariable, match="101 variables are too many, at most 100 are taken"):
        check({f"V{number}": "x" for number in range(101)})
