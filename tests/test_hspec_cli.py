"""The command line of hspec: words, options, help, exit codes."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from octopod.hspec import __main__ as hspec
from octopod.hspec import errors
from octopod.hspec.commands.table import COMMANDS

LAUNCHER = ROOT / "octopod/hspec/bin/hspec"
ALL = [(words, command) for command in COMMANDS for words in (command.words, *command.aliases)]


def options_of(line: str):
    command, rest = hspec.find(line.split())
    return hspec.parser_of(command).parse_args(rest)


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_command_is_found_by_each_of_its_names_in_any_case(words, command):
    assert hspec.find([*words, "-a", "shop"]) == (command, ["-a", "shop"])
    assert hspec.find([word.upper() for word in words])[0] == command


def test_no_two_commands_have_the_same_words():
    assert len({words for words, _ in ALL}) == len(ALL)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_every_command_has_its_function_and_its_help(command, capsys):
    module, _, function = command.function.partition(":")
    source = (ROOT / f"octopod/hspec/commands/{module}.py").read_text()
    assert f"\ndef {function}(options: Namespace) -> int:" in source
    with pytest.raises(SystemExit) as ended:
        hspec.main([*command.words, "--help"])
    assert ended.value.code == 0
    assert f"usage: hspec {' '.join(command.words)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("deploy service -a shop -n dev -f a.hspec", {"app": "shop", "namespace": "dev", "files": ["a.hspec"]}),
        ("deploy service -a shop -ns dev -file a.hspec -f b,c", {"namespace": "dev", "files": ["a.hspec", "b", "c"]}),
        ("deploy service -f a.hspec b.hspec c,d -a shop -n dev", {"files": ["a.hspec", "b.hspec", "c", "d"]}),
        (f"generate service manifest -a {'s' * 30} -f a", {"app": "s" * 30}),
        ("generate service manifests -a shop -f a", {"namespace": None}),
        ("generate service manifests -a shop -f a -n dev", {"namespace": "dev"}),
        ("generate service manifest -a 0-1 -f a", {"app": "0-1"}),
        ("deploy services --app shop --namespace dev --file a -v", {"app": "shop", "verbose": True}),
        ("deploy service -a shop -n dev -f a -verbose --timeout 5m", {"verbose": True, "timeout": 300}),
        ("deploy service -a shop -n dev -f a -p x,y -p z", {"profiles": ["x", "y", "z"], "profile_name": None}),
        ("deploy service -a shop -n dev -f a -P stage -o json", {"profile_name": "stage", "output": "json"}),
        ("generate service manifest -a shop --files a,b", {"files": ["a", "b"], "output": "text"}),
        ("get service status -s a -s b -n dev -a shop", {"services": ["a", "b"]}),
        ("get service log -s a -n dev -a shop", {"lines": 100, "tail": False, "replica": None}),
        ("get service logs -s a -n dev -a shop -t -l 501 -r a-0", {"lines": 501, "tail": True, "replica": "a-0"}),
        ("get service logs -s a -n dev --application shop --lines 7", {"lines": 7, "app": "shop"}),
        ("get service logs -s a -n dev -a shop --line 7 --tail", {"lines": 7, "tail": True}),
        ("scale service -s a -n dev -a shop --to 0", {"to": 0, "up": None, "down": None}),
        ("scale service -s a -n dev -a shop --down 2", {"to": None, "up": None, "down": 2}),
        ("get replica status -s a -n dev -a shop -o yaml", {"service": "a", "output": "yaml"}),
        ("scale service -s a -n dev -a shop --to 0 -o json", {"output": "json"}),
        ("undeploy service -s a -n dev -a shop -o yaml", {"output": "yaml"}),
        ("undeploy app -n dev -a shop -o json", {"output": "json"}),
    ],
)
def test_options_are_understood(line, wanted):
    found = vars(options_of(line))
    shown = {key: [str(path) for path in found[key]] if isinstance(found[key], list) else found[key] for key in wanted}
    assert shown == wanted


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("deploy service -n dev -f a", "-a/--app"),
        ("deploy service -a shop -f a", "--namespace"),
        ("deploy service -a shop -n dev", "--file"),
        ("deploy service -a s -n dev -f a", '"s" cannot be the name of an app'),
        ("deploy service -a Shop -n dev -f a", '"Shop" cannot be the name of an app'),
        (f"deploy service -a {'s' * 31} -n dev -f a", "2 to 30 of a-z, 0-9 and -"),
        ("deploy service --app=-a -n dev -f a", '"-a" cannot be the name of an app'),
        ("deploy service -a a- -n dev -f a", "none of the ends being -"),
        ("deploy service -a -- -n dev -f a", "-a/--app"),
        ("deploy service -a ../x -n dev -f a", "cannot be the name of an app"),
        ("deploy service -a shop -n -x -f a", "--namespace"),
        ("deploy service -a shop -n x- -f a", '"x-" cannot be a namespace'),
        ("deploy service -a shop -n dev -f a -p b -P c", "not allowed with"),
        ("deploy service -a shop -n dev -f a -o xml", "xml"),
        ("deploy service -a shop -n dev -f a --timeout soon", '"soon" is no duration'),
        ("deploy service -f a -a shop -n dev extra", "extra"),
        ("get service logs -s a -n dev -a shop -l 0", '"0" is no number from 1 to 501'),
        ("get service logs -s a -n dev -a shop -l 502", '"502" is no number from 1 to 501'),
        ("get service logs -s a -n dev -a shop -l ten", '"ten" is no number from 1 to 501'),
        ("get service status -s ../b -n dev -a shop", '"../b" cannot be the name of a service'),
        ("get service status -s 1b -n dev -a shop", '"1b" cannot be the name of a service'),
        ("scale service -s a -n dev -a shop", "one of the arguments --up --down --to"),
        ("scale service -s a -n dev -a shop --to 1 --up 1", "not allowed with"),
        ("scale service -s a -n dev -a shop --up 0", '"0" is no number from 1 or more'),
    ],
)
def test_wrong_options_are_refused_with_the_usage(line, says, capsys):
    with pytest.raises(SystemExit) as ended:
        hspec.main(line.split())
    assert ended.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("gett service status", "Is it `hspec get service status`"),
        ("depoy service", "Is it `hspec deploy service`"),
        ("deploy", "  hspec deploy service"),
        ("get", "  hspec get service logs"),
        ("deploy web.hspec", "  hspec deploy service"),
        ("get service state", "  hspec get service status"),
        ("nonsense", "hspec --help lists them"),
        ("-a shop", "The command comes first"),
        ("help nonsense", "There is no command `hspec nonsense`"),
    ],
)
def test_unknown_command_is_answered_with_what_could_be_meant(line, says, capsys):
    assert hspec.main(line.split()) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("line", ["", "--help", "-h", "help"])
def test_help_lists_every_command_exit_code_and_variable(line, capsys):
    with pytest.raises(SystemExit) as ended:
        hspec.main(line.split())
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {' '.join(command.words)}  " in out for command in COMMANDS)
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HspecError)]
    assert all(re.search(rf"(^|\s){one.code} ", out) for one in classes)
    assert max(map(len, out.splitlines())) <= 105


def test_every_variable_that_is_read_is_in_the_help():
    sources = [path.read_text() for path in (ROOT / "octopod/hspec").rglob("*.py")]
    read = {name for text in sources for name in re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', text)}
    told = set(re.findall(r"^  ([A-Z_]+)  ", hspec.ENVIRONMENT, re.MULTILINE))
    assert {name for name in read if not name.startswith("XDG_")} - {"HSPEC_DEBUG"} <= told


def test_help_of_some_words_lists_what_begins_with_them(capsys):
    with pytest.raises(SystemExit):
        hspec.main(["get", "--help"])
    out = capsys.readouterr().out
    assert "get service logs" in out
    assert "undeploy" not in out


def test_each_class_of_errors_has_an_exit_code_of_its_own():
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HspecError)]
    assert len({one.code for one in classes}) == len(classes) > 10


def test_help_imports_no_layer_and_no_library():
    code = (
        "import sys; from octopod.hspec.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {"yaml", "jsonpatch", "subprocess", "importlib.metadata", "octopod.hspec.workflow"}
    assert "octopod.hspec.commands.table" in loaded


def test_launcher_works_from_any_directory_and_through_a_link(tmp_path):
    (tmp_path / "hspec").symlink_to(LAUNCHER)
    (tmp_path / "argparse.py").write_text("raise SystemExit('taken from the working directory')")
    done = subprocess.run([tmp_path / "hspec", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"hspec {hspec.VERSION}\n"


def test_what_nobody_has_foreseen_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(hspec, "find", lambda _: 1 / 0)
    assert hspec.main(["validate"]) == 1
    assert "failed unexpectedly (ZeroDivisionError" in capsys.readouterr().err
