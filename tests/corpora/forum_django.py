"""Corpus "forum": Django on PostgreSQL, jsonlog, no request ids: a transaction for each request, three connections.

``python tests/corpora/forum_django.py``
"""

from __future__ import annotations

import random
import sys
from typing import Any

import servers
from recording import Truth, keep, requests


def models() -> Any:
    from types import SimpleNamespace

    from django.db import models as m

    class Meta:
        app_label = "forum"

    def model(name: str, /, **fields: Any) -> Any:
        return type(name, (m.Model,), {"__module__": "forum", "Meta": type("Meta", (Meta,), {}), **fields})

    big = m.BigAutoField
    member = model(
        "Member", id=big(primary_key=True), name=m.CharField(max_length=50), country=m.CharField(max_length=2)
    )
    board = model("Board", id=big(primary_key=True), title=m.CharField(max_length=50))
    thread = model(
        "Thread", id=big(primary_key=True), title=m.CharField(max_length=80), state=m.CharField(max_length=10),
        board=m.ForeignKey(board, m.CASCADE), starter=m.ForeignKey(member, m.CASCADE, related_name="threads"),
    )  # fmt: skip
    post = model(
        "Post", id=big(primary_key=True), body=m.TextField(), score=m.IntegerField(),
        thread=m.ForeignKey(thread, m.CASCADE), writer=m.ForeignKey(member, m.CASCADE, related_name="posts"),
    )  # fmt: skip
    badge = model(
        "Badge", id=big(primary_key=True), member=m.ForeignKey(member, m.CASCADE), name=m.CharField(max_length=20)
    )
    tag = model("Tag", id=big(primary_key=True), slug=m.CharField(max_length=30, unique=True),
                threads=m.ManyToManyField(thread, related_name="tags"))  # fmt: skip
    option = model(
        "Option", id=big(primary_key=True), name=m.CharField(max_length=30, unique=True), value=m.TextField()
    )
    task = model("Task", id=big(primary_key=True), state=m.CharField(max_length=10), payload=m.TextField())
    return SimpleNamespace(
        member=member, board=board, thread=thread, post=post, badge=badge, tag=tag, option=option, task=task
    )


def fill(db: Any) -> None:
    draw = random.Random(5)
    b = lambda model, rows: model.objects.bulk_create([model(**r) for r in rows])  # noqa: E731
    b(db.member, [{"name": f"m{i}", "country": draw.choice(["de", "fr", "it"])} for i in range(150)])
    b(db.board, [{"title": f"b{i}"} for i in range(12)])
    b(
        db.thread,
        [
            {"title": f"t{i}", "state": "open", "board_id": 1 + i % 12, "starter_id": draw.randint(1, 150)}
            for i in range(400)
        ],
    )
    b(
        db.post,
        [
            {"body": "x", "score": draw.randint(0, 9), "thread_id": 1 + i % 400, "writer_id": draw.randint(1, 150)}
            for i in range(1600)
        ],
    )
    b(db.badge, [{"member_id": draw.randint(1, 150), "name": f"g{i % 7}"} for i in range(300)])
    b(db.tag, [{"slug": f"tag-{i}"} for i in range(40)])
    for thread in db.thread.objects.all()[:200]:
        thread.tags.add(*draw.sample(range(1, 41), 3))
    b(db.option, [{"name": f"o{i}", "value": "1"} for i in range(10)])
    b(db.task, [{"state": "new", "payload": "{}"} for _ in range(3000)])


def pages(db: Any) -> dict[str, Any]:
    from django.db import IntegrityError, connection, transaction

    def board(rng: random.Random) -> dict[str, int]:
        found = list(db.thread.objects.filter(board_id=rng.randint(1, 12))[: rng.choice([3, 6, 10, 20])])
        starters = {t.starter_id for t in found}
        [t.starter.name for t in found]
        return {"forum_member": len(found) if len(starters) >= 0.6 * len(found) else 0}

    def threads(rng: random.Random) -> dict[str, int]:
        found = list(db.thread.objects.order_by("-id")[rng.randint(0, 300) :][: rng.choice([4, 8, 12])])
        [(list(t.post_set.all()), t.tags.count()) for t in found]
        return {"forum_post": len(found), "forum_tag_threads": len(found)}

    def profile(rng: random.Random) -> dict[str, int]:
        """Nested: threads of a member, their posts, the badges of the writers."""
        member = db.member.objects.get(pk=rng.randint(1, 150))
        own = list(member.threads.all())
        posts = [p for t in own for p in t.post_set.all()]
        [list(p.writer.badge_set.all()) for p in posts]
        return {"forum_post": len(own), "forum_member": len(posts), "forum_badge": len(posts)}

    def best(rng: random.Random) -> dict[str, int]:
        """A range beside the key."""
        found = list(db.thread.objects.filter(state="open").values_list("id", flat=True)[: rng.choice([5, 7, 11])])
        for i in found:
            db.post.objects.filter(thread_id=i, score__gte=rng.randint(2, 8)).first()
        return {"forum_post": len(found)}

    def exists(rng: random.Random) -> dict[str, int]:
        found = db.member.objects.filter(country=rng.choice(["de", "fr"]))[: rng.choice([3, 5, 9, 16])]
        count = sum(1 for m in found if m.badge_set.exists() or True)
        return {"forum_badge": count}

    def raw(rng: random.Random) -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"select id, writer_id from forum_post where score > {rng.randint(0, 8)} limit {rng.choice([4, 6, 9])}"
            )
            rows = cursor.fetchall()
            for _, writer in rows:
                cursor.execute(f"select name from forum_member where id = {writer}")
                cursor.fetchall()
        return {"forum_member": len(rows) if len({w for _, w in rows}) >= 0.6 * len(rows) else 0}

    def prefetched(rng: random.Random) -> None:
        found = db.thread.objects.select_related("starter").prefetch_related("post_set", "tags")[: rng.randint(5, 20)]
        [(t.starter.name, len(t.post_set.all()), len(t.tags.all())) for t in found]

    def configured(rng: random.Random) -> None:
        list(db.board.objects.all()[: rng.choice([6, 8, 12])])
        for i in range(6):
            db.option.objects.get(name=f"o{i}")

    def states(rng: random.Random) -> None:
        list(db.member.objects.all()[: rng.randint(3, 20)])
        for state in ("new", "run", "done", "held", "lost"):
            db.task.objects.filter(state=state).count()

    def export(rng: random.Random) -> None:
        last = 0
        for _ in range(rng.randint(5, 10)):
            chunk = list(db.post.objects.filter(writer__country="de", id__gt=last).order_by("id")[:20])
            if not chunk:
                break
            last = chunk[-1].id

    def poll(rng: random.Random) -> None:
        list(db.board.objects.all())
        task = rng.randint(1, 3000)
        for _ in range(rng.randint(5, 9)):
            db.task.objects.get(pk=task)

    def retry(rng: random.Random) -> None:
        db.member.objects.get(pk=rng.randint(1, 150))
        for i in rng.sample(range(40), rng.randint(5, 8)):
            try:
                with transaction.atomic():
                    db.tag.objects.create(slug=f"tag-{i}")
            except IntegrityError:
                db.tag.objects.get(slug=f"tag-{i}")

    def worker(rng: random.Random) -> None:
        for _ in range(rng.randint(5, 10)):
            task = db.task.objects.select_for_update(skip_locked=True).filter(state="new").order_by("id").first()
            db.task.objects.get(pk=task.pk)
            task.state = "done"
            task.save(update_fields=["state"])

    def shards(rng: random.Random) -> None:
        list(db.member.objects.all()[: rng.randint(4, 20)])
        for country in ("de", "fr", "it", "es", "pl", "nl", "be"):
            db.member.objects.filter(country=country).count()

    def three(rng: random.Random) -> None:
        db.member.objects.get(pk=rng.randint(1, 150))
        db.thread.objects.get(pk=rng.randint(1, 400))
        db.post.objects.get(pk=rng.randint(1, 1600))

    def merge(rng: random.Random) -> None:
        """Ids from the client."""
        db.board.objects.get(pk=1)
        for i in rng.sample(range(1, 401), rng.randint(5, 9)):
            db.thread.objects.get(pk=i)

    def save(rng: random.Random) -> None:
        list(db.tag.objects.all()[: rng.randint(5, 20)])
        for _ in range(rng.randint(5, 9)):
            db.task.objects.create(state="old", payload="")

    def again(rng: random.Random) -> None:
        for _ in db.thread.objects.all()[: rng.randint(5, 12)]:
            db.option.objects.get(name="o1")

    return {
        "board": (6, board), "threads": (6, threads), "profile": (5, profile), "best": (5, best), "exists": (5, exists),
        "raw": (4, raw), "prefetched": (5, prefetched), "configured": (5, configured), "states": (4, states),
        "export": (4, export), "poll": (3, poll), "retry": (4, retry), "worker": (4, worker), "shards": (4, shards),
        "three": (4, three), "merge": (4, merge), "save": (4, save), "again": (4, again),
    }  # fmt: skip


def main() -> None:
    import django
    from django.conf import settings

    with servers.postgresql() as server:
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "postgres", "HOST": "127.0.0.1",
                    "PORT": server.port, "CONN_MAX_AGE": None}  # fmt: skip
        settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
        sys.modules.setdefault("forum", type(sys)("forum"))
        django.setup()
        db = models()
        from django.db import connection, transaction

        with connection.schema_editor() as editor:
            for model in vars(db).values():
                editor.create_model(model)
        fill(db)
        connection.close()
        written = {p: p.stat().st_size for p in server.logs("json")}
        truth = Truth()

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            with transaction.atomic():
                pid = connection.connection.info.backend_pid
                return work(), pid, None

        requests(pages(db), 400, truth, around, threads=3)
        connection.close()
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("json"))
    keep("forum", log, "json", truth)


if __name__ == "__main__":
    main()
