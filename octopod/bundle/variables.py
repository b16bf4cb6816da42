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
    # how any program is loaded, and where libraries find what they load themselves
    "DBUS_*", "DYLD_*", "GCONV_PATH", "GDK_*", "GETCONF_DIR", "GIO_*", "GLIBC_TUNABLES", "GST_*", "GTK_*", "HOSTALIASES",
    "KRB5*", "LDAPCONF", "LDAPRC", "LDAPTLS_*", "LDAPURI", "LD_*", "LIBMYSQL_*", "LOCALDOMAIN", "LOCPATH", "MALLOC_*",
    "NLSPATH", "ODBC*", "QT_*", "RESOLV_HOST_CONF", "RES_OPTIONS", "SASL_*", "TEMP", "TERMINFO*", "TEXTDOMAIN*", "TMP",
    "TMPDIR", "TZDIR", "XDG_*",
    # shells
    "BASHOPTS", "BASH_*", "CDPATH", "ENV", "FPATH", "GLOBIGNORE", "IFS", "INPUTRC", "OLDPWD", "POSIXLY_CORRECT",
    "PROMPT_COMMAND", "PS4", "PWD", "SHELL", "SHELLOPTS", "ZDOTDIR",
    # languages and their packages
    "AWKLIBPATH", "AWKPATH", "BUNDLE_GEMFILE", "BUNDLE_PATH", "CARGO_*", "CLASSPATH", "COMPOSER*", "CONDA_*", "CORECLR_*",
    "COREPACK_*", "DOTNET_*", "ELIXIR_*", "ERL_*", "GEMRC", "GEM_HOME", "GEM_PATH", "GOENV", "GOFLAGS", "GOINSECURE",
    "GONOSUM*", "GOPATH", "GOPROXY", "GOROOT", "GOSUMDB", "GOTOOLCHAIN", "GRADLE_*", "GUILE_*", "JAVA_HOME", "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_*", "MAVEN_*", "MONO_*", "NODE_*", "NPM_CONFIG_*", "NUGET_*", "PERL*",
    "PHP*", "PIPENV_*", "PIP_*", "POETRY_*", "PYTHON*", "RUBY*", "RUSTC*", "RUSTFLAGS", "RUSTUP_*", "R_*", "TCL*", "UV_*",
    "VIRTUAL_ENV", "YARN_*",
    # compilers and what calls them
    "CC", "CCACHE_*", "CFLAGS", "CMAKE_*", "COMPILER_PATH", "CONFIG_SHELL", "CONFIG_SITE", "CPPFLAGS", "CXX", "CXXFLAGS",
    "GCC_*", "GNUMAKEFLAGS", "LDFLAGS", "LIBRARY_PATH", "MAKE", "MAKEFILES", "MAKEFLAGS", "PKG_CONFIG*",
    # what other programs run
    "BORG_*", "BROWSER", "EDITOR", "EXINIT", "GIT_*", "GROFF_*", "GS_LIB", "GS_OPTIONS", "HG*", "LESS", "LESSCLOSE",
    "LESSKEY*", "LESSOPEN", "MAGICK_*", "MANOPT", "MANPAGER", "MANROFFOPT", "PAGER", "PARALLEL*", "PSQL*", "RCLONE_*",
    "RESTIC_*", "RSYNC_*", "SSH_*", "SUDO_*", "SVN_*", "SYSTEMD_*", "TAR_OPTIONS", "VIM*", "VISUAL", "ZIPOPT",
    # whom they trust with secrets, and where they put those
    "ALL_PROXY", "CURL_*", "FTP_PROXY", "GNUPGHOME", "GRPC_*", "HTTPS_PROXY", "HTTP_PROXY", "MYSQL_HOST", "NO_PROXY",
    "OPENSSL_*", "PGHOST*", "PGSERVICE*", "PGSSL*", "PGSYSCONFDIR", "REQUESTS_CA_BUNDLE", "SSLKEYLOGFILE", "SSL_CERT_*",
    "VAULT_*", "WGETRC",
    # clusters and clouds: both
    "ANSIBLE_*", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_CONTAINER_*", "AWS_DATA_PATH", "AWS_EC2_METADATA_*",
    "AWS_ENDPOINT_URL*", "AWS_PAGER", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CONFIG_DIR", "AZURE_EXTENSION_DIR", "BOTO*",
    "BUILDKIT_HOST", "CLOUDSDK_*", "CONTAINERS_*", "CONTAINER_HOST", "DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_CONTEXT",
    "DOCKER_HOST", "DOCKER_TLS*", "HELM_*", "KUBE*", "KUSTOMIZE_*", "TERRAFORM_CONFIG", "TF_CLI_*", "TF_DATA_DIR",
    "TF_PLUGIN_*", "TF_REATTACH_*",
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
