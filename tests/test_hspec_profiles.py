"""Profiles: what they may say, how they are merged with their specs, and which belongs to which."""

import copy
import json

import pytest
from hspec_specs import FULL, TREES, full, loaded, minimal, problems, write
from hypothesis import given
from hypothesis import strategies as st

from octopod.hspec.errors import HspecError, InvalidSpec, ProfileError, UsageError
from octopod.hspec.service import Agent, Prop, Replicas, Secrets, Volume
from octopod.hspec.spec import choose_profiles, load
from octopod.hspec.spec.kinds import walk
from octopod.hspec.spec.merge import MergeError, merge
from octopod.hspec.spec.model import SPEC
from octopod.hspec.spec.profiles import merge_keys, replaced

FIELDS = {".".join(path): field for path, field in walk(SPEC)}
KEYS = {"volumes": "name", "agents": "name", "ports": "port", "containers": "name"}


def profile(directory, name="dev-web.hprof", environment="dev", overrides="web", **fields):
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"environment": environment, "overrides": overrides, **fields}))
    return path


# --- the merge ---


@pytest.mark.parametrize(
    ("source", "patch", "merged"),
    [
        ({"a": 1}, {"a": None}, {"a": 1}),  # null says nothing
        ({"a": 1}, {"b": None}, {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),  # absent: the patch
        ({"a": None}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),  # scalars
        ({"a": 1}, {"a": "1"}, {"a": "1"}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": 1}, {"a": [2]}, {"a": [2]}),  # types differ
        ({"a": [1]}, {"a": 2}, {"a": 2}),
        ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),  # mappings
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": [3, 1]}, {"a": [2, 1]}, {"a": [3, 1, 2]}),  # lists of scalars
        ({"a": [1, 1, "1"]}, {"a": [True, 1.0, "1"]}, {"a": [1, "1", True, 1.0]}),
        ({"a": [[1], [2]]}, {"a": [[2], [3]]}, {"a": [[1], [2], [3]]}),
        ({"a": []}, {"a": [1]}, {"a": [1]}),
        ({"a": [1]}, {"a": []}, {"a": [1]}),
        ({"a": []}, {"a": [{"x": 1}]}, {"a": [{"x": 1}]}),
        (  # lists of mappings
            {"volumes": [{"name": "a", "size": 1, "path": "/a"}, {"name": "b"}]},
            {"volumes": [{"name": "c"}, {"name": "a", "size": 2}]},
            {"volumes": [{"name": "a", "size": 2, "path": "/a"}, {"name": "b"}, {"name": "c"}]},
        ),
        (
            {"agents": [{"name": "a", "props": {"x": 1, "y": 2}}]},
            {"agents": [{"name": "a", "props": {"y": 3}, "secrets": ["s"]}]},
            {"agents": [{"name": "a", "props": {"x": 1, "y": 3}, "secrets": ["s"]}]},
        ),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": "80", "x": 1}]}, {"ports": [{"port": "80", "x": 1}]}),
        (
            {"spec": {"containers": [{"name": "a", "env": [1]}]}},
            {"spec": {"containers": [{"name": "a", "env": [2]}]}},
            {"spec": {"containers": [{"name": "a", "env": [1, 2]}]}},
        ),
        ({"volumes": [5, {"x": 1}]}, {"volumes": [{"name": "a"}]}, {"volumes": [5, {"x": 1}, {"name": "a"}]}),
        ({"allowTraffic": [{"x": 1}]}, {"allowTraffic": [{"y": 1}]}, {"allowTraffic": [{"y": 1}]}),  # replaced
        ({"allowTraffic": [{"x": 1}]}, {"allowTraffic": []}, {"allowTraffic": []}),
        ({"allowTraffic": [{"x": 1}]}, {"allowTraffic": None}, {"allowTraffic": [{"x": 1}]}),
    ],
)
def test_patch_is_merged(source, patch, merged):
    before = copy.deepcopy((source, patch))
    found = merge(source, patch, KEYS, replace=("allowTraffic",))
    assert found == merged
    assert json.dumps(found) == json.dumps(merged)  # order and types as well
    assert (source, patch) == before


@pytest.mark.parametrize(
    ("source", "patch", "words"),
    [
        ({"a": {"b": [{"x": 1}]}}, {"a": {"b": [{"x": 2}]}}, "a.b: a list of mappings"),
        ({"b": [1]}, {"b": [{"x": 2}]}, "b: a list of mappings"),
        ({"volumes": [{"name": "a"}]}, {"volumes": [{"name": "a"}, {"size": 1}]}, r"volumes\[1\]: `name` is missing"),
        ({"volumes": [{"name": "a"}]}, {"volumes": [{"name": None}]}, "`name` is missing"),
        ({"volumes": [{"name": "a"}]}, {"volumes": [{"name": ["a"]}]}, "`name` is missing"),
        ({"volumes": [{"name": "a"}]}, {"volumes": ["a"]}, "`name` is missing"),
        (
            {"volumes": [{"name": "a"}]},
            {"volumes": [{"name": "b"}, {"name": "b"}]},
            r'volumes\[1\]: "b" is there twice',
        ),
        ([{"x": 1}], [{"x": 1}], "a list of mappings"),
    ],
)
def test_lists_whose_elements_cannot_be_told_apart_are_not_merged(source, patch, words):
    with pytest.raises(MergeError, match=words):
        merge(source, patch, KEYS)


def test_keys_of_the_merge_are_those_of_the_model():
    assert merge_keys() == {"volumes": "name", "agents": "name", "mapping": "port"}
    assert replaced() == {"allowTraffic"}


# Lists that cannot be merged, and lists with something twice, are taken when there is nothing to merge them with.
LISTS = st.lists(st.none() | st.integers(0, 9) | st.sampled_from("abc"), max_size=3, unique_by=json.dumps)
VALUES = LISTS | st.recursive(
    st.none() | st.booleans() | st.integers() | LISTS,
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
)
NAMED = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"x": VALUES, "y": VALUES}),
    max_size=3,
    unique_by=lambda item: item["name"],
)
PATCHES = st.fixed_dictionaries(
    {}, optional={"volumes": NAMED, "t": VALUES, "u": VALUES, "allowTraffic": st.lists(VALUES)}
)


@given(PATCHES)
def test_empty_patch_keeps_the_source(source):
    for patch in ({}, None, dict.fromkeys(source)):
        assert merge(source, patch, KEYS) == source


@given(PATCHES, PATCHES)
def test_patching_twice_is_patching_once(source, patch):
    once = merge(source, patch, KEYS, ("allowTraffic",))
    assert merge(once, patch, KEYS, ("allowTraffic",)) == once


@given(PATCHES, PATCHES)
def test_no_key_of_the_source_is_lost(source, patch):
    merged = merge(source, patch, KEYS, ("allowTraffic",))
    assert list(merged)[: len(source)] == list(source)
    assert set(merged) == set(source) | {key for key, value in patch.items() if value is not None}


# --- what a profile may say ---


def test_profile_is_merged_and_names_the_environment(tmp_path):
    path = profile(
        tmp_path,
        environment="Stage-2",
        replicas=4,
        memory="2Gi",
        props={"LEVEL": "debug", "NEW": "string(x)", "DB": None},
        secrets=["A"],
        volumes=[{"name": "data", "size": "9Gi"}],
        agents=[{"name": "shipper", "secrets": ["OTHER"], "props": {"MORE": 1}}],
        loadBalancer={"host": "stage.example.com", "mapping": [{"port": "8080/tcp", "contextPaths": ["/api"]}]},
    )
    service = loaded(tmp_path, FULL, profile=path)
    assert (service.environment, service.profile) == ("Stage-2", path)
    assert (service.replicas, service.memory.max, service.cpu.max) == (Replicas(4), "2Gi", "1")
    assert list(service.props) == ["LEVEL", "DB", "HI", "app.conf", "NEW"]
    assert [service.props[key].text for key in ("LEVEL", "DB", "NEW")] == ["debug", "db", "x"]
    assert service.secrets == Secrets(("A",))  # a list in place of a mapping
    assert service.volumes == (Volume("data", "/srv/data", "9Gi", "fast"),)
    assert service.agents[0].secrets == Secrets(("TOKEN", "OTHER"))
    assert service.agents[0].props["MORE"] == Prop("string", "1")
    assert service.load_balancer.host == "stage.example.com"
    assert service.load_balancer.mapping[0].context_paths == ("/", "/api")
    assert service.source["replicas"] == 4
    assert "environment" not in service.source
    assert "overrides" not in service.source


def test_rules_of_who_may_come_in_are_replaced(tmp_path):
    path = profile(tmp_path, allowTraffic=[{"ports": [2020], "from": ["other"]}])
    service = loaded(tmp_path, full("allowTraffic"), profile=path)
    assert [rule.sources for rule in service.allow_traffic] == [("other",)]


@pytest.mark.parametrize("path", FIELDS)
def test_only_what_can_be_overridden_is(path, tmp_path):
    """Each field in a profile, with what it has in the spec already."""
    field = FIELDS[path]
    source = full(path)
    names = path.replace("[]", "").split(".")
    patch = value = {}
    holder = source
    for name in names[:-1]:
        holder = holder.get(name, {}) if isinstance(holder, dict) else {}
        if isinstance(holder, list):
            holder = holder[0]
            key = merge_keys().get(name) or "port"
            element = {key: holder[key]} if key in holder else {}
            value[name], value = [element], element
        else:
            value[name] = {}
            value = value[name]
    value[names[-1]] = holder.get(names[-1], "x") if isinstance(holder, dict) else "x"
    file = tmp_path / "dev-web.hprof"
    file.write_text(json.dumps({"environment": "dev", "overrides": "web", **patch}))
    found = problems(tmp_path, source, profile=file)
    around = [".".join(path.split(".")[: index + 1]).removesuffix("[]") for index in range(len(names))]
    is_overridable = all(FIELDS[each].is_overridable for each in around)
    assert field.is_overridable or not is_overridable
    here = path.replace("[]", "[0]")
    refused = [problem for problem in found if "overridden" in problem.message and here.startswith(problem.field)]
    assert bool(refused) == (not is_overridable)
    for problem in refused:
        assert problem.file.endswith(".hprof")
        inside = problem.field.replace("[0]", "[]").rpartition(".")[0]
        possible = [name.rpartition(".")[2] for name, each in FIELDS.items() if each.is_overridable
                    and name.rpartition(".")[0] == inside]  # fmt: skip
        assert problem.message == f"This cannot be overridden; {', '.join(possible)} can."


@pytest.mark.parametrize(
    ("text", "field", "line", "words"),
    [
        ("overrides: web\n", "environment", 1, "required"),
        ("environment: dev\n", "overrides", 1, "required"),
        ("environment: d\noverrides: web\n", "environment", 1, '"d" is not allowed'),
        ("environment: d_v\noverrides: web\n", "environment", 1, "letters, digits"),
        ("environment: -dev\noverrides: web\n", "environment", 1, "beginning"),
        (f"environment: {'d' * 31}\noverrides: web\n", "environment", 1, "2 to 30"),
        ("environment: [dev]\noverrides: web\n", "environment", 1, "A list"),
        ("environment: dev\noverrides: shop\n", "overrides", 2, 'of "shop", not of "web"'),
        ("environment: dev\noverrides: web\nimage: {}\n", "image", 3, "cannot be overridden; replicas, memory"),
        ("environment: dev\noverrides: web\nreplica: 1\n", "replica", 3, "Did you mean `replicas`?"),
        ("environment: dev\noverrides: web\nvolumes:\n- name: data\n  path: /x\n", "volumes[0].path", 5, "cannot be"),
        ("environment: dev\noverrides: web\nvolumes:\n- size: 1Gi\n", "volumes[0]", 4, "`name` is missing"),
        ("environment: dev\noverrides: web\nvolumes:\n- name: new\n", "volumes[1].path", 4, "required"),
        ("environment: dev\noverrides: web\nagents:\n- name: x\n", "agents[1].image", 4, "required"),
        ("environment: dev\noverrides: web\n\nmemory: lots\n", "memory", 4, '"lots" is not allowed'),
        ("environment: dev\noverrides: web\nreplicas:\n  max: 0\n", "replicas.max", 4, '"0" is not allowed'),
        ("environment: dev\noverrides: web\nprops:\n  F: file(nowhere)\n", "props.F", 4, "There is no file"),
        ("environment: dev\noverrides: web\nvolumes: 5\n", "volumes", 3, "a list"),
        ("environment: dev\nenvironment: x\noverrides: web\n", "", 2, "twice"),
        ("", "", 0, "empty"),
    ],
)
def test_profile_that_is_wrong_is_refused_with_its_own_lines(text, field, line, words, tmp_path):
    path = tmp_path / "dev-web.hprof"
    path.write_text(text)
    spec = {**FULL, "loadBalancer": None, "agents": [{"name": "a", "image": "b"}]}
    with pytest.raises(ProfileError) as raised:
        loaded(tmp_path, spec, profile=path)
    found = [problem for problem in raised.value.problems if problem.field == field]
    assert words in found[0].message
    assert (found[0].file, found[0].line) == (str(path), line)
    assert raised.value.code == 30


def test_problems_of_spec_profile_and_overrides_are_told_together(tmp_path):
    path = profile(tmp_path, image={}, memory="x")
    with pytest.raises(InvalidSpec) as raised:
        loaded(tmp_path, minimal(cpu="y"), profile=path, overrides={"replicas": "z", "name": "other"})
    assert [(problem.field, problem.file.rpartition("/")[2]) for problem in raised.value.problems] == [
        ("name", ""),
        ("replicas", ""),
        ("image", "dev-web.hprof"),
        ("memory", "dev-web.hprof"),
        ("cpu", "web.hspec"),
    ]
    assert [problem.line for problem in raised.value.problems] == [0, 0, 1, 1, 1]


def test_overrides_come_after_the_profile(tmp_path):
    path = profile(tmp_path, replicas=4, props={"LEVEL": "debug"})
    overrides = {"props": {"LEVEL": "trace", "HI": None, "N": 5}, "replicas": 2, "memory": "3Gi", "secrets": {"B": "x"}}
    service = loaded(tmp_path, FULL, profile=path, overrides=overrides)
    assert (service.replicas, service.memory.max) == (Replicas(2), "3Gi")
    assert [service.props[key].text for key in ("LEVEL", "HI", "N")] == ["trace", "hello", "5"]
    assert service.secrets == Secrets(("PASSWORD", "B"), {"PASSWORD": "s3cret", "B": "x"})
    assert loaded(tmp_path, FULL, overrides={}).source == FULL


@pytest.mark.parametrize(
    "overrides",
    [
        {"image": {"name": "other"}}, {"nothing": 1}, {"props": 5}, {"props": {"A": object()}}, {"props": {"A": "\0"}},
        {"replicas": -1}, {"memory": {}}, {"volumes": [{"path": "/x"}]}, {"props": {("a", "b"): 1}}, {"props": {"A": b"x"}},
    ],
)  # fmt: skip
def test_overrides_that_cannot_be_are_refused_without_a_line(overrides, tmp_path):
    with pytest.raises(HspecError) as raised:
        loaded(tmp_path, FULL, overrides=overrides)
    assert all(problem.line == 0 and problem.file == "" for problem in raised.value.problems)


def test_overrides_without_end_are_refused(tmp_path):
    endless: dict = {}
    endless["props"] = endless
    with pytest.raises(HspecError, match="deeper"):
        loaded(tmp_path, FULL, overrides=endless)


@given(TREES)
def test_any_overrides_are_merged_or_refused(tmp_path_factory, tree):
    directory = tmp_path_factory.getbasetemp()
    try:
        loaded(directory, FULL, overrides={"props": tree, "agents": tree, "replicas": tree, "volumes": tree})
    except HspecError as error:
        assert error.problems  # noqa: PT017 -- either outcome is right


def test_agent_that_only_a_profile_has_must_be_whole(tmp_path):
    agents = [{"name": "new", "image": "busybox"}]
    found = problems(tmp_path, minimal(), profile=profile(tmp_path, agents=agents))
    assert [problem.field for problem in found] == ["agents[0].image"]
    assert loaded(tmp_path, minimal(agents=agents)).agents == (Agent("new", "busybox"),)


# --- which profile ---


def spec(directory, name):
    return write(directory, {**minimal(), "name": name}, f"{name}.hspec")


def test_without_profiles_services_have_none(tmp_path):
    specs = [spec(tmp_path, "web"), tmp_path / "not-even-there.hspec"]
    assert choose_profiles(specs) == dict.fromkeys(specs)


def test_files_are_the_profiles_of_the_services_they_say(tmp_path):
    web, db, cache = (spec(tmp_path, name) for name in ("web", "db", "cache"))
    of_web, of_db = profile(tmp_path, "x.hprof"), profile(tmp_path, "y.hprof", "stage", "db")
    assert choose_profiles([web, db, cache], [of_db, of_web]) == {web: of_web, db: of_db, cache: None}
    assert choose_profiles([web], [of_web, of_web]) == {web: of_web}


@pytest.mark.parametrize("name", ["dev-web.hprof", "dev-web.hprof.yaml", "profiles/dev-web.hprof", "dev-web-old.hprof"])
def test_profile_is_found_by_name(name, tmp_path):
    web = spec(tmp_path, "web")
    path = profile(tmp_path, name)
    profile(tmp_path, "stage-web.hprof", "stage")
    assert choose_profiles([web], name="dev") == {web: path}


def test_profile_of_a_service_whose_name_begins_alike_is_another(tmp_path):
    web, shop = spec(tmp_path, "web"), spec(tmp_path, "web-shop")
    of_web, of_shop = profile(tmp_path), profile(tmp_path, "dev-web-shop.hprof", overrides="web-shop")
    (tmp_path / "dev-web-broken.hprof").write_text("[")
    assert choose_profiles([web, shop], name="dev") == {web: of_web, shop: of_shop}


def test_each_spec_has_profiles_of_its_own_directory(tmp_path):
    web, db = spec(tmp_path / "a", "web"), spec(tmp_path / "b", "db")
    of_web, of_db = profile(tmp_path / "a"), profile(tmp_path / "b/profiles", "dev-db.hprof", overrides="db")
    assert choose_profiles([web, db], name="dev") == {web: of_web, db: of_db}
    with pytest.raises(ProfileError, match=r"no dev-db\.hprof"):
        choose_profiles([web, spec(tmp_path / "a", "db")], name="dev")


def refused(tmp_path, files, name, words, kind=ProfileError):
    specs = [spec(tmp_path, "web"), spec(tmp_path, "db")]
    with pytest.raises(kind) as raised:
        choose_profiles(specs, files, name)
    assert [word for word in words if word not in str(raised.value)] == []
    assert len(raised.value.problems) == len(words)


def test_files_and_a_name_are_refused(tmp_path):
    refused(tmp_path, [profile(tmp_path)], "dev", ["not both"], UsageError)


@pytest.mark.parametrize("name", ["", "d", "d_v", "a" * 31, "../x", "a b"])
def test_name_that_no_profile_can_have_is_refused(name, tmp_path):
    refused(tmp_path, [], name, ["cannot be the name"], UsageError)


def test_services_without_a_profile_of_the_name_are_all_named(tmp_path):
    refused(tmp_path, [], "dev", ["web.hspec: There is no dev-web.hprof", "db.hspec: There is no dev-db.hprof"])


def test_two_profiles_for_one_service_are_refused(tmp_path):
    files = [profile(tmp_path, "x.hprof"), profile(tmp_path, "y.hprof")]
    refused(tmp_path, files, None, ['y.hprof: overrides: "web" has a profile already'])


def test_two_profiles_of_one_name_are_refused(tmp_path):
    profile(tmp_path)
    profile(tmp_path, "profiles/dev-web.hprof")
    profile(tmp_path, "dev-db.hprof", overrides="db")
    refused(tmp_path, [], "dev", ["web.hspec: There is more than one profile"])


def test_profile_of_a_service_that_is_not_given_is_refused(tmp_path):
    files = [profile(tmp_path, "x.hprof", overrides="shop"), tmp_path / "nowhere.hprof"]
    refused(tmp_path, files, None, ['profile of "shop"; given are: web, db', "nowhere.hprof: There is no such file"])


def test_profile_that_is_called_otherwise_than_it_says_is_refused(tmp_path):
    profile(tmp_path, environment="stage")
    profile(tmp_path, "dev-db.hprof", overrides="shop")
    refused(tmp_path, [], "dev", ['environment: "stage" is not allowed', 'overrides: "shop" is not allowed'])


def test_profile_that_does_not_say_of_what_it_is_is_refused(tmp_path):
    (tmp_path / "x.hprof").write_text("replicas: 1\n")
    refused(tmp_path, [tmp_path / "x.hprof"], None, ["environment: This is required", "overrides: This is required"])


def test_two_specs_of_one_service_cannot_have_profiles(tmp_path):
    specs = [spec(tmp_path / "a", "web"), spec(tmp_path / "b", "web")]
    with pytest.raises(UsageError, match='describe the service "web"'):
        choose_profiles(specs, [profile(tmp_path)])


def test_chosen_profile_is_loaded_with_its_spec(tmp_path):
    web = spec(tmp_path, "web")
    profile(tmp_path, replicas=7)
    chosen = choose_profiles([web], name="dev")
    assert load(web, profile=chosen[web]).replicas == Replicas(7)
