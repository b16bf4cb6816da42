"""Variables that a caller passes to the scripts of a bundle."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
MOST = 100
LONGEST = 131_072 - 1  # bytes of NAME=value: Linux takes no more for one variable (MAX_ARG_STRLEN)
# The first scheme of signatures does not cover variables, so that these may be somebody else's.
RESERVED = (
    # ours, or set by us
    "CALLBACK*", "HOME", "LANG", "LANGUAGE", "LC_*", "OCTOPOD_*", "OCTO_*", "PATH", "POWER_AUTHORIZATION_HEADER", "SERVO_TOKEN",
    # how any program is loaded, and where the C library finds what it loads itself
    "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LD_*", "LOCALDOMAIN", "LOCPATH", "MALLOC_*",
    "NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS", "TEMP", "TERMINFO*", "TMP", "TMPDIR", "TZDIR", "XDG_*",
    # shells
    "BASHOPTS", "BASH_*", "CDPATH", "ENV", "GLOBIGNORE", "IFS", "INPUTRC", "OLDPWD", "POSIXLY_CORRECT", "PROMPT_COMMAND",
    "PS4", "PWD", "SHELL", "SHELLOPTS",
    # languages and their packages
    "BUNDLE_GEMFILE", "BUNDLE_PATH", "CLASSPATH", "CORECLR_*", "DOTNET_*", "GEM_HOME", "GEM_PATH", "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_*", "MAVEN_OPTS", "NODE_*", "NPM_CONFIG_*", "PERL*", "PIP_*", "PYTHON*",
    "RUBY*", "UV_*",
    # what programs run, and whom they trust with secrets
    "ALL_PROXY", "BROWSER", "CURL_*", "EDITOR", "FTP_PROXY", "GIT_*", "HTTPS_PROXY", "HTTP_PROXY", "LESSCLOSE", "LESSOPEN",
    "MAKEFILES", "MAKEFLAGS", "MANPAGER", "NO_PROXY", "OPENSSL_*", "PAGER", "REQUESTS_CA_BUNDLE", "SSH_*", "SSL_CERT_*",
    "VISUAL", "WGETRC",
)  # fmt: skip


class BadVariable(Exception):
    """Why a variable is not passed on: a sentence."""


def name_of(header_suffix: str) -> str:
    """The name that scripts see for the header `X-Var-SUFFIX`. Headers cannot have underscores: many servers drop those."""
    return header_suffix.upper().replace("-", "_")


def check(variables: Mapping[str, str]) -> None:
    """Raises BadVariable when one of them must not reach a script."""
    if len(variables) > MOST:
        raise BadVariable(f"{len(variables)} variables are too many, at most {MOST} are taken")
    for name, value in variables.items():
        problem = _problem_of_name(name) or _problem_of_value(name, value)
        if problem:
            raise BadVariable(f"The variable {name!r} {problem}")


def _problem_of_name(name: str) -> str | None:
    if not NAME.fullmatch(name):
        return "is not named with up to 64 capital letters, digits and underscores, a letter first"
    if any(fnmatchcase(name, pattern) for pattern in RESERVED):
        return "is not for callers to set: its name means something to Octopod or to the programs that scripts run"
    return None


def _problem_of_value(name: str, value: str) -> str | None:
    if re.search(r"[\0\r\n]", value):
        return "has a line break or a NUL in its value"
    if len(f"{name}={value}".encode(errors="replace")) > LONGEST:
        return f"is too long: with its name at most {LONGEST:,} bytes are possible"
    return None
