"""Search, as pure functions: what is exact, what is similar and what is not, measured on what deployments are made of."""

from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from octopod.search import HINT, WHOLE, find, highlights, parse_words

# Names, links, keys and values such as there are.
TEXTS = [
    *["orange", "feature-login", "feature-checkout", "fix-payment-timeout", "pr-1234", "pr-1235", "arrange-x", "nightly"],
    *["demo-customer-portal", "hotfix-invoice-rounding", "jane-sandbox", "plugin-registry", "redis-upgrade", "sso-azure"],
    *["experiment-recommendations", "staging-eu", "load-test", "mobile-api", "kubernetes-129", "dark-mode", "orange2"],
    *["app", "api", "logs", "metrics", "https://orange.staging.example.com", "https://orange.example.com/?v=1#top"],
    *["https://api.feature-login.staging.example.com/swagger", "https://grafana.example.com/d/abc123/deployments"],
    *["image.tag", "image.pullPolicy", "ingress.className", "resources.limits.memory", "autoscaling.minReplicas"],
    *["postgres.storage.size", "env.LOG_LEVEL", "DATABASE_URL", "SENTRY_ENVIRONMENT", "appDatabaseName", "replicaCount"],
    *["podAnnotations.team", "worker.concurrency", "tolerations", "FEATURE_FLAGS", "PAYMENT_PROVIDER", "JAVA_OPTS"],
    *["v1.2.3", "v9.8.7", "1.27.3-alpine", "sha-3fa9c1e", "registry.example.com/shop/backend", "IfNotPresent", "true"],
    *["512Mi", "postgres", "postgres://db.internal:5432/shop", "smtp.mailhog.local", "paypal", "on-demand", "nginx"],
    *["production", "staging", "development", "europe/berlin", "Purple", "0 3 * * *", "-Xmx512m -XX:+UseG1GC", "straße"],
]  # fmt: skip
# Words that people might look for; no text has them.
STRANGERS = """
banana cherry melon apple lemon grape green black yellow project proxy broker queue stage storage2 state manage
package message service server client contact produce basket ticket billing payroll report export upload download
backup restore archive docker helm cluster node volume secret token config setting profile avatar gallery video stream
player editor reader writer parser scanner tracker router switch bridge gateway firewall session cookie header sidebar
layout theme style color icon button dialog modal banner slider form table column index migration fixture mock stub
suite runner build compile deploy2 rollback canary alpha beta gamma delta candidate stable latest edge weekly monthly
linux windows android iphone desktop browser chrome firefox python golang rust scala kotlin swift rails django flask
spring react angular main master trunk branch merge rebase commit push fetch clone issue perf smoke regression
integration unit acceptance london paris madrid rome oslo vienna dublin athens alice bobby carol david erika frank
kevin laura maria nicole oscar peter robert sandra thomas victor date text tent rest best mall host2 most cost fast
list2 lost love life line tree blue flog slot plot pilot plane place space shade shape share shine feature-x
feature-ui feature-banana staging-us staging-dev production-eu mobile-app dark-theme image.size pr-1236 pr-9 kubernetes-130
v1.2.4 v1.3.3 2.27.3-alpine 256Mi login2 orange-7 nightly-v2 change exchange
"""


def mistyped(text: str) -> st.SearchStrategy[str]:
    """A text with a letter left out, doubled or exchanged with the next."""
    edits = [
        lambda at: text[:at] + text[at + 1 :],
        lambda at: text[: at + 1] + text[at:],
        lambda at: text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :],
    ]
    return st.builds(lambda edit, at: edit(at), st.sampled_from(edits), st.integers(0, len(text) - 1))


letters = st.text(min_size=1).map(str.casefold).filter(lambda text: not any(letter.isspace() for letter in text))
words = st.lists(letters, max_size=4)


def marked(text: str, q: str, similar: bool = True) -> str:
    """A text with its hits in brackets."""
    return "".join(f"[{piece}]" if hit else piece for piece, hit in highlights(text, parse_words(q), similar))


def found(q: str, *texts: str) -> tuple[bool, bool]:
    """Whether a document of these texts is found, and whether it is only similar."""
    keys, similar = find({7: list(texts)}, parse_words(q))
    assert keys in ([], [7])
    return bool(keys), similar


# --- exact


@pytest.mark.parametrize(
    "q", ["orange", "ORANGE", "ang", "x orange", "image.tag v1.2", "ge.t", "STRASSE", "strasse", "\u2003orange\n"]
)
def test_words_are_found_anywhere_in_any_text_whatever_their_case(q):
    assert found(q, "x-Orange", "image.tag", "v1.2.3", "Straße") == (True, False)


@pytest.mark.parametrize("q", ["orange purple", "gei", "tag=v1", "v1.2.3.4", "lemon"])
def test_every_word_has_to_be_in_one_text(q):
    assert found(q, "orange", "image.tag", "v1.2.3") == (False, False)


def test_without_words_everything_is_found():
    assert find({1: ["orange"], 2: []}, parse_words(" \t")) == ([1, 2], False)


def test_exact_ones_hide_similar_ones():
    documents = {1: ["orange"], 2: ["ornage"], 3: ["lemon"]}
    assert find(documents, ["ornage"]) == ([2], False)
    assert find(documents, ["ornge"]) == ([1, 2], True)


def test_all_words_have_to_be_exact_for_an_exact_hit():
    documents = {1: ["orange", "login"], 2: ["orange", "lemon"]}
    assert find(documents, ["orange", "lgoin"]) == ([1], True)


def test_similar_ones_may_have_other_words_exactly():
    assert find({1: ["orange", "my-app"], 2: ["orange", "api"]}, ["ornage", "app"]) == ([1], True)


def test_word_counts_once():
    assert parse_words(" Orange\tORANGE pr-1 \u00a0") == ["orange", "pr-1"]


def test_grade_can_be_asked_for():
    documents = {1: ["orange"], 2: ["ornage"]}
    assert find(documents, ["ornage"], similar=True) == ([1, 2], True)
    assert find(documents, ["ornage"], similar=False) == ([2], False)
    assert find(documents, ["ornge"], similar=False) == ([], False)


# --- similar


@pytest.mark.parametrize(
    ("text", "q"),
    [
        # letters left out
        *[("[orange]", "orng"), ("[postgres]", "postgrs"), ("jane-[sandbox]", "sandbx"), ("[load-test]", "lod-test")],
        *[("feature-[checkout]", "chekout"), ("[kubernetes]-129", "kuberntes"), ("[dark-mode]", "dak-mode")],
        *[("experiment-[recommendations]", "recomendations"), ("[replicaCount]", "replcaCount")],
        # two letters exchanged
        *[("[orange]", "ornage"), ("[orange]", "oragne"), ("[feature-login]", "fetaure-login"), ("[nightly]", "nigthly")],
        *[("feature-[login]", "logni"), ("feature-[login]", "lgoin"), ("resources.limits.[memory]", "memroy")],
        *[("[orange]", "roange"), ("[sso-azure]", "sso-azrue"), ("[orange]2", "ornage")],
        # another letter, or one too many
        *[("feature-[login]", "lohin"), ("[orange]", "orangee"), ("[orange]", "oranges"), ("[paypal]", "paypall")],
        *[("[development]", "developement"), ("[autoscaling.minReplicas]", "autoscalling.minreplicas")],
        # the separators
        *[("[feature-login]", "featurelogin"), ("[feature-login]", "feature_login"), ("[image.tag]", "imagetag")],
        *[("[ingress.className]", "ingresClassName"), ("[dark-mode]", "darkmode")],
        # somewhere in a longer text
        *[("[registry.example].com/shop/backend", "registy.example"), ("[postgres]://db.internal:5432/shop", "postgers")],
        *[("https://[orange].staging.example.com", "orng"), ("[DATABASE]_URL", "databse"), ("SENTRY_[ENVIRONMENT]", "enviroment")],
        # parts of a word: at humps, and long ones anywhere
        *[("app[Database]Name", "databse"), ("my[ImageTag]", "imagetga")],
        *[("experiment-[recommend]ations", "recomend"), ("my[database]name", "databse")],
        *[("my[notifications]list", "ntifcations"), ("my[notifications]list", "notifcatios")],
        # with numbers, if those are right
        *[("[pr-1234-login]", "pr-1234-lgoin"), ("[feature-12]3", "fetaure-12"), ("[kubernetes-129]", "kuberntes-129")],
    ],
)  # fmt: skip
def test_similar_is_found_and_marked(text, q):
    plain = text.replace("[", "").replace("]", "")
    assert found(q, "unrelated", plain) == (True, True)
    assert marked(plain, q) == text
    assert marked(plain, q, similar=False) == plain


@pytest.mark.parametrize(
    ("text", "q"),
    [
        *[("plugin-registry", "login"), ("arrange-x", "orange"), ("v9.8.7", "v1.2.3"), ("redis-upgrade", "debug")],
        # numbers are right or wrong
        *[("v1.2.4", "v1.2.3"), ("pr-1235", "pr-1236"), ("v12.3", "v1.2.3"), ("orange2", "ornage3"), ("orange", "orange2")],
        # one part of two is not enough
        *[("feature-login", "feature-x"), ("feature-login", "feature-ui"), ("production", "production-demo")],
        *[("https://a.staging.example.com", "staging-us"), ("dark-mode", "dark-theme")],
        # texts that are shorter than the word
        *[("app", "apple"), ("a", "orange"), ("or", "orng"), ("true", "strue-color"), ("tag", "stage"), ("log", "logout")],
        *[("apple", "appletree")],
        # words of fewer than four letters, and two exchanged ones of only four
        *[("app", "apq"), ("tag", "tga"), ("nginx", "ngx"), ("load-test", "tst"), ("load-test", "tset")],
        # the middle of a part, for a short word
        *[("myoranges", "orng")],
        # no word at all
        *[("orange", "????"), ("orange", ".....")],
    ],
)  # fmt: skip
def test_other_things_are_not_similar(text, q):
    assert found(q, "unrelated", text) == (False, False)
    assert marked(text, q) == text


def test_few_strangers_are_taken_for_similar():
    words = parse_words(STRANGERS)
    mistaken = {word: similar for word in words if (similar := [text for text in TEXTS if found(word, text)[0]])}
    assert [word for word in words if any(word in text.casefold() for text in TEXTS)] == []
    near = {"flask", "flog", "image.size", "latest", "line", "main", "mobile-app", "produce", "stage", "storage2"}
    assert set(mistaken) == near | {"stream", "upload"}
    assert len(mistaken) / len(words) < 0.06
    assert {len(texts) for texts in mistaken.values()} == {1}


def test_similar_is_looked_for_in_the_beginning_of_long_texts_only():
    begin = "x" * 493
    assert found("ornage", f"{begin} orange") == (True, True)
    assert found("ornage", f"{begin}x orange") == (False, False)
    assert found("orange", f"{begin}x orange") == (True, False)


def test_very_long_words_are_found_exactly_only():
    word = "-".join(["feature"] * 9)
    assert found(word, word) == (True, False)
    assert found(word.replace("feature", "fetaure", 1), word) == (False, False)
    assert found("fetaure-feature", word) == (True, True)


# --- marks


@pytest.mark.parametrize(
    ("text", "q", "pieces"),
    [
        ("", "a", []),
        ("orange", "", [("orange", False)]),
        ("orange", "orange", [("orange", True)]),
        ("xOrangex", "orange", [("x", False), ("Orange", True), ("x", False)]),
        ("orange", "ora nge", [("orange", True)]),
        ("orange", "oran ange", [("orange", True)]),
        ("orange", "orange an", [("orange", True)]),
        ("aaaab", "aa", [("aaaa", True), ("b", False)]),
        ("ananas", "ana", [("anana", True), ("s", False)]),
        ("a-a", "a", [("a", True), ("-", False), ("a", True)]),
        ("Straße 7", "STRASSE", [("Straße", True), (" 7", False)]),
        ("Straße 7", "s", [("S", True), ("tra", False), ("ß", True), ("e 7", False)]),
        ("ßßx", "x", [("ßß", False), ("x", True)]),
        ("İİ-orange", "orange", [("İİ-", False), ("orange", True)]),
        ("İİ-orange", "ornage", [("İİ-", False), ("orange", True)]),
        ("İİ-recommendations", "recomend", [("İİ-", False), ("recommend", True), ("ations", False)]),
        ("ﬁﬁﬁ database", "databse", [("ﬁﬁﬁ ", False), ("database", True)]),
        ("ΣΑΣ", "σας", [("ΣΑΣ", True)]),
        ("orange-orange", "ornage", [("orange", True), ("-", False), ("orange", True)]),
        ("orange-ornage", "ornage", [("orange-", False), ("ornage", True)]),
    ],
)
def test_text_is_cut_where_the_hits_are(text, q, pieces):
    assert highlights(text, parse_words(q), True) == pieces


@given(st.text(), words, st.booleans())
@example("İ", ["\u0307"], False)
@example("aßb", ["sb"], True)
@example("\ud800abcdefg", ["\ud800abcdegf"], True)
def test_pieces_are_the_text_and_no_two_neighbours_are_alike(text, words, similar):
    pieces = highlights(text, words, similar)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)
    assert all(one[1] is not other[1] for one, other in pairwise(pieces))


@given(st.text(), letters, st.text(), words, st.booleans())
@example("ß", "s", "", [], False)
def test_every_exact_word_is_marked(before, word, after, others, similar):
    pieces = highlights(before + word + after, [word, *others], similar)
    assert any(word in piece.casefold() for piece, hit in pieces if hit)
    assert not any(word in piece.casefold() for piece, hit in pieces if not hit)


@given(st.text(), words)
def test_only_words_are_marked_exactly(text, words):
    for piece, hit in highlights(text, words, similar=False):
        assert not hit or any(word in piece.casefold() for word in words)


@given(st.data())
def test_what_is_found_is_marked(data):
    text = data.draw(st.sampled_from(TEXTS))
    word = data.draw(st.sampled_from(TEXTS).flatmap(mistyped))
    for q in (word, text[:3] + word):
        assume(len(parse_words(q)) == 1)
        assert found(q, text)[0] == any(hit for _, hit in highlights(text, parse_words(q), True))


# --- what makes it fast


@given(st.text("xyz"), st.text("abc", min_size=4, max_size=8), st.text("abcz", min_size=3, max_size=12), st.text("xyz"))
@example("xxxxxx", "abca", "abzzca", "yyyyyy")
def test_hint_leaves_out_nothing_similar(before, word, part, after):
    assume(fuzz.ratio(word, part) >= WHOLE)
    assert fuzz.partial_ratio(word, before + part + after) >= HINT
