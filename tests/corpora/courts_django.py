"""Corpus "courts": Django on PostgreSQL, csvlog, a transaction for each request, three connections. Held out.

``python tests/corpora/courts_django.py``
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import servers
from recording import Truth, keep, requests

BEGIN, DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.timedelta(days=1)
DIVISIONS = ("civil", "penal", "family", "labour", "tax", "admin", "youth", "appeal")
STAGES = ("lodged", "served", "pleaded", "tried", "ruled", "closed")
KEYS = ("currency", "locale", "page_cap", "banner", "holiday", "theme", "retention")
SIZES = (3, 6, 12, 25, 40)


def models() -> Any:
    from django.db import models as m

    def model(name: str, /, **fields: Any) -> Any:
        meta = type("Meta", (), {"app_label": "justice"})
        return type(
            name, (m.Model,), {"__module__": "justice", "Meta": meta, "id": m.BigAutoField(primary_key=True), **fields}
        )

    def to(other: Any, name: str) -> Any:
        return m.ForeignKey(other, m.CASCADE, related_name=name)

    def text(length: int, **more: Any) -> Any:
        return m.CharField(max_length=length, **more)

    court = model("Court", title=text(60), division=text(9))
    judge = model("Judge", surname=text(60))
    advocate = model("Advocate", surname=text(60), bar_no=text(12, unique=True))
    lawsuit = model(
        "Lawsuit", court=to(court, "lawsuits"), judge=to(judge, "lawsuits"), year=m.IntegerField(), stage=text(12),
        caption=text(90), counsel=m.ManyToManyField(advocate, related_name="lawsuits"),
    )  # fmt: skip
    hearing = model("Hearing", lawsuit=to(lawsuit, "hearings"), court=to(court, "hearings"), judge=to(judge, "hearings"),
                    at=m.DateTimeField())  # fmt: skip
    filing = model("Filing", lawsuit=to(lawsuit, "filings"), author=to(advocate, "filings"), signer=text(12),
                   pages=m.IntegerField(), urgent=m.BooleanField())  # fmt: skip
    exhibit = model("Exhibit", lawsuit=to(lawsuit, "exhibits"), sealed=m.BooleanField())
    tariff = model("Tariff", court=to(court, "tariffs"), year=m.IntegerField(), fee=m.IntegerField())
    term = model("Term", opens=m.DateTimeField(), closes=m.DateTimeField())
    setting = model("Setting", name=text(30, unique=True), value=text(30))
    errand = model("Errand", lawsuit=to(lawsuit, "errands"), done=m.BooleanField(default=False))
    return SimpleNamespace(
        court=court, judge=judge, advocate=advocate, lawsuit=lawsuit, hearing=hearing, filing=filing, exhibit=exhibit,
        tariff=tariff, term=term, setting=setting, errand=errand,
    )  # fmt: skip


def fill(db: Any) -> None:
    r = random.Random(77)

    def many(model: Any, rows: list[dict[str, Any]]) -> list[Any]:
        made: list[Any] = model.objects.bulk_create([model(**row) for row in rows])
        return made

    courts = many(db.court, [{"title": f"Court {i}", "division": DIVISIONS[i % 8]} for i in range(60)])
    judges = many(db.judge, [{"surname": f"J{i}"} for i in range(80)])
    advocates = many(db.advocate, [{"surname": f"A{i}", "bar_no": f"BAR{i:05d}"} for i in range(150)])
    suits = many(db.lawsuit, [
        {"court": r.choice(courts), "judge": r.choice(judges), "year": r.randint(2010, 2024), "stage": r.choice(STAGES),
         "caption": f"X v. Y{i}"} for i in range(600)])  # fmt: skip
    counsel = [(suit, one) for suit in suits for one in r.sample(advocates, r.randint(0, 3))]
    many(db.lawsuit.counsel.through, [{"lawsuit_id": suit.id, "advocate_id": one.id} for suit, one in counsel])
    heard = [suit for suit in suits for _ in range(r.randint(0, 4))]
    many(db.hearing, [{"lawsuit": s, "court": s.court, "judge": r.choice(judges), "at": BEGIN + DAY * r.randint(0, 360)}
                      for s in heard])  # fmt: skip
    filed = [suit for suit in suits for _ in range(r.randint(0, 5))]
    many(db.filing, [{"lawsuit": s, "author": r.choice(advocates), "signer": r.choice(advocates).bar_no,
                      "pages": r.randint(1, 90), "urgent": r.random() < 0.3} for s in filed])  # fmt: skip
    shown = [suit for suit in suits for _ in range(r.randint(0, 3))]
    many(db.exhibit, [{"lawsuit": suit, "sealed": r.random() < 0.4} for suit in shown])
    many(db.tariff, [{"court": c, "year": y, "fee": r.randint(10, 99)} for c in courts for y in range(2010, 2025)])
    many(db.term, [{"opens": BEGIN + DAY * 7 * i, "closes": BEGIN + DAY * (7 * i + 6)} for i in range(50)])
    many(db.setting, [{"name": name, "value": "1"} for name in KEYS])
    many(db.errand, [{"lawsuit": r.choice(suits)} for _ in range(500)])


def part(r: random.Random, rows: Any, n: int | None = None, last: int = 400) -> list[Any]:
    """A page of the rows."""
    first, size = r.randint(0, last), n or r.choice(SIZES)
    return list(rows[first : first + size])


def positives(db: Any) -> dict[str, Any]:
    """Pages that ask row by row: the table, and how many different values."""
    from django.db.models import Sum

    def suits(r: random.Random) -> list[Any]:
        return part(r, db.lawsuit.objects.order_by("id"))

    def of_each(table: str, rows: list[Any], ask: Any) -> dict[str, int]:
        for one in rows:
            ask(one)
        return {f"justice_{table}": len(rows)}

    def court_tree(r: random.Random) -> dict[str, int]:
        courts, hearings = part(r, db.court.objects.order_by("title"), r.choice([2, 4, 8]), 40), 0
        for court in courts:
            for suit in court.lawsuits.order_by("-year")[:4]:
                list(suit.hearings.all())
                hearings += 1
        return {"justice_lawsuit": len(courts), "justice_hearing": hearings}

    def calendar(r: random.Random) -> dict[str, int]:
        first = BEGIN + DAY * r.randint(0, 330)
        week = {"at__gte": first, "at__lt": first + 7 * DAY}
        courts = part(r, db.court.objects.order_by("id"), r.choice([4, 8, 16, 30]), 30)
        return of_each("hearing", courts, lambda c: list(db.hearing.objects.filter(court=c, **week).order_by("at")))

    def terms(r: random.Random) -> dict[str, int]:
        rows = part(r, db.term.objects.order_by("opens"), r.choice([4, 8, 16, 30]), 20)
        inside = lambda t: db.hearing.objects.filter(at__gte=t.opens, at__lte=t.closes).count()  # noqa: E731
        return of_each("hearing", rows, inside)

    def fees(r: random.Random) -> dict[str, int]:
        rows = suits(r)
        for one in rows:
            db.tariff.objects.filter(court_id=one.court_id, year=one.year).first()
        return {"justice_tariff": len({(one.court_id, one.year) for one in rows})}

    def urgent_authors(r: random.Random) -> dict[str, int]:
        rows = part(r, db.filing.objects.order_by("id"), r.choice([6, 15, 30, 60]))
        return {"justice_advocate": len({one.author.id for one in rows if one.urgent})}

    def hearing_judges(r: random.Random) -> dict[str, int]:
        return {"justice_judge": len({one.judge.id for one in part(r, db.hearing.objects.order_by("-at", "id"))})}

    def signers(r: random.Random) -> dict[str, int]:
        rows = part(r, db.filing.objects.filter(pages__gt=10).order_by("-pages", "id"))
        return {"justice_advocate": len({db.advocate.objects.get(bar_no=one.signer).bar_no for one in rows})}

    def sealed(r: random.Random) -> dict[str, int]:
        rows = list(db.lawsuit.objects.filter(stage=r.choice(STAGES)).order_by("-id")[: r.choice(SIZES)])
        return of_each("exhibit", rows, lambda s: s.exhibits.filter(sealed=True).exists())

    def caseload(r: random.Random) -> dict[str, int]:
        rows = part(r, db.judge.objects.order_by("surname"), None, 40)
        return of_each("lawsuit", rows, lambda j: j.lawsuits.exclude(stage="closed").count())

    return {
        "docket_filings": lambda r: of_each("filing", suits(r), lambda s: list(s.filings.all())),
        "counsel": lambda r: of_each("advocate", suits(r), lambda s: list(s.counsel.all())),
        "page_sums": lambda r: of_each("filing", suits(r), lambda s: s.filings.aggregate(t=Sum("pages"))),
        "last_hearing": lambda r: of_each("hearing", suits(r), lambda s: s.hearings.order_by("-at").first()),
        "hearing_judges": hearing_judges, "court_tree": court_tree, "fees": fees, "sealed": sealed, "caseload": caseload,
        "calendar": calendar, "terms": terms, "urgent_authors": urgent_authors, "signers": signers,
    }  # fmt: skip


def negatives(db: Any) -> dict[str, Any]:
    """Pages that ask often without asking for rows one by one."""
    from django.db import IntegrityError, transaction
    from django.db.models import Max

    def suits(r: random.Random, n: int | None = None) -> list[Any]:
        return part(r, db.lawsuit.objects.order_by("id"), n)

    def configured(r: random.Random) -> None:
        suits(r)
        for name in KEYS:
            db.setting.objects.get(name=name)

    def stages(r: random.Random) -> None:
        suits(r)
        for stage in STAGES:
            db.lawsuit.objects.filter(stage=stage).count()

    def export(r: random.Random) -> None:
        last, size = r.randint(0, 100), r.choice([20, 30])
        for _ in range(r.randint(5, 12)):
            page = list(db.filing.objects.filter(id__gt=last).order_by("id")[:size])
            if not page:
                break
            last = page[-1].id

    def poll(r: random.Random) -> None:
        errand = r.randint(1, 500)
        list(db.errand.objects.filter(done=False).order_by("id")[:5])
        for _ in range(r.randint(5, 9)):
            db.errand.objects.filter(id=errand).values_list("done").first()
            time.sleep(0.002)

    def retry(r: random.Random) -> None:
        suit = r.randint(1, 600)
        db.lawsuit.objects.get(id=suit)
        for tries in range(r.randint(5, 8)):
            try:
                with transaction.atomic():
                    db.advocate.objects.get(id=1 + suit % 150)
                    db.setting.objects.create(name="currency", value=str(tries))
            except IntegrityError:
                continue

    def worker(r: random.Random) -> None:
        waiting = db.errand.objects.select_for_update(skip_locked=True).filter(done=False).order_by("id")
        for _ in range(r.randint(5, 8)):
            errand = waiting.first()
            if not errand:
                break
            db.lawsuit.objects.get(id=errand.lawsuit_id)
            errand.done = True
            errand.save(update_fields=["done"])

    def divisions(r: random.Random) -> None:
        suits(r)
        for division in DIVISIONS:
            db.court.objects.filter(division=division).aggregate(Max("id"))

    def detail(r: random.Random) -> None:
        suit = suits(r, 1)[0]
        _ = suit.court, suit.judge, list(suit.hearings.all())
        for one in suits(r, 3):
            _ = one.judge

    def eager(r: random.Random) -> None:
        for one in part(r, db.lawsuit.objects.order_by("id").prefetch_related("filings", "counsel")):
            _ = list(one.filings.all()), list(one.counsel.all())

    def joined(r: random.Random) -> None:
        for one in part(r, db.hearing.objects.select_related("judge", "lawsuit").order_by("id")):
            _ = one.judge.surname + one.lawsuit.caption

    def lodge(r: random.Random) -> None:
        new = [db.exhibit(lawsuit=suit, sealed=False) for suit in suits(r)]
        db.exhibit.objects.bulk_create(new, batch_size=4)

    def same_again(r: random.Random) -> None:
        for _ in suits(r):
            db.setting.objects.get(name="currency")

    return {k: v for k, v in locals().items() if callable(v) and k not in ("suits", "IntegrityError", "Max")}


def main() -> None:
    import django
    from django.conf import settings

    with servers.postgresql() as server:
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "postgres", "HOST": "127.0.0.1",
                    "PORT": server.port, "CONN_MAX_AGE": None}  # fmt: skip
        app = type(sys)("justice")  # an application, or reverse relations can't be prefetched
        app.__path__ = [str(Path(__file__).parent)]
        sys.modules["justice"] = app
        settings.configure(DATABASES={"default": database}, INSTALLED_APPS=["justice"], USE_TZ=True)
        django.setup()
        db = models()
        from django.db import connection, transaction

        with connection.schema_editor() as editor:
            for model in vars(db).values():
                editor.create_model(model)
        fill(db)
        connection.close()
        written = {p: p.stat().st_size for p in server.logs("csv")}
        truth = Truth()

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            with transaction.atomic():
                pid = connection.connection.info.backend_pid
                return work(), pid, None

        pages = {name: (1, page) for name, page in (positives(db) | negatives(db)).items()}
        requests(pages, 275, truth, around, threads=3)
        connection.close()
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("csv"))
    keep("courts", log, "csv", truth)


if __name__ == "__main__":
    main()
