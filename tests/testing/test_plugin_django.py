"""A Django application under ``pytest --no-n-plus-one``: its lazy pages fail, its sound ones pass."""

from __future__ import annotations

import pytest

pytest.importorskip("django")
pytest_plugins = ["pytester"]

SETTINGS = """
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "blog"], DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [__file__.rpartition("/")[0]]}],
)
django.setup()
"""

MODELS = """
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

class Tag(models.Model):
    word = models.CharField(max_length=20)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.IntegerField()
    item = GenericForeignKey()

class Author(models.Model):
    name = models.CharField(max_length=20)
    follows = models.ManyToManyField("self", symmetrical=False)

class Entry(models.Model):
    title = models.CharField(max_length=20)
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    tags = GenericRelation(Tag)
"""

TESTS = """
import pytest
from blog.models import Author, ContentType, Entry, Tag
from django.db import connection
from django.template.loader import get_template

@pytest.fixture(scope="session", autouse=True)
def tables():
    with connection.schema_editor() as editor:
        for model in (ContentType, Tag, Author, Entry):
            editor.create_model(model)
    yield
    connection.close()

@pytest.fixture(autouse=True)
def filled(tables):
    with connection.cursor() as cursor:
        for table in ("blog_tag", "blog_entry", "blog_author_follows", "blog_author"):
            cursor.execute(f"DELETE FROM {table}")
    yield Author.objects.bulk_create(Author(pk=i, name=f"a{i}") for i in range(1, 11))

def entries(authors, different):
    Entry.objects.bulk_create(Entry(title=f"e{i}", author=authors[i % different]) for i in range(10))

def test_bad_ten_authors(filled):
    entries(filled, 10)
    assert [e.author.name for e in Entry.objects.all()]

def test_bad_three_authors(filled):
    entries(filled, 3)
    assert [e.author.name for e in Entry.objects.all()]

def test_bad_one_author(filled):
    entries(filled, 1)
    assert [e.author.name for e in Entry.objects.all()]

def test_bad_entries_of_each(filled):
    entries(filled, 10)
    assert [len(a.entry_set.all()) for a in Author.objects.all()]

def test_bad_follows(filled):
    filled[0].follows.add(*filled[1:])
    assert [len(a.follows.all()) for a in Author.objects.all()]

def test_bad_generic_relation(filled):
    entries(filled, 10)
    assert not [t for e in Entry.objects.all() for t in e.tags.all()]

def test_bad_iterator(filled):
    entries(filled, 10)
    assert [e.author.name for e in Entry.objects.all().iterator()]

def test_bad_get_of_keys_that_a_query_returned(filled):
    entries(filled, 10)
    assert [Author.objects.get(pk=key).name for key in Entry.objects.values_list("author_id", flat=True)]

def test_bad_template(filled):
    entries(filled, 10)
    assert "a1" in get_template("page.html").render({"entries": Entry.objects.all()})

def test_good_select_related(filled):
    entries(filled, 10)
    assert [e.author.name for e in Entry.objects.select_related("author")]

def test_good_prefetch_related(filled):
    entries(filled, 10)
    assert [len(a.entry_set.all()) for a in Author.objects.prefetch_related("entry_set", "follows")]

def test_good_get_of_keys_from_elsewhere(filled, recorded_queries):
    assert [Author.objects.get(pk=filled[i].pk).name for i in range(8)]
    import perflab as lab
    found = lab.find_n_plus_one(recorded_queries.table())
    assert "loop without parent" in set(found["evidence"]), found

def test_good_three_lookups(filled):
    assert [Author.objects.get(pk=filled[i].pk).name for i in range(3)]
"""


def test_lazy_pages_fail_and_sound_ones_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SETTINGS)
    pytester.makepyfile(test_blog=TESTS)
    pytester.mkpydir("blog").joinpath("models.py").write_text(MODELS)
    (pytester.path / "page.html").write_text("<ul>\n{% for e in entries %}\n<li>{{ e.author.name }}\n{% endfor %}</ul>")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--no-n-plus-one", "-q", "-rA")
    outcome = {
        line.split("::")[1].split(" ")[0]: line.split(" ")[0]
        for line in result.outlines
        if line.startswith(("PASSED", "FAILED"))
    }
    assert {name: "FAILED" if name.startswith("test_bad") else "PASSED" for name in outcome} == outcome
    assert len(outcome) == 13
    text = result.stdout.str()
    assert "page.html:3" in text, "the line of the template"
    assert 'select_related("author")' in text
    assert "The calls load only 1 different row" in text and "only 3 different rows" in text
