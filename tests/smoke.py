"""What must work with the lowest versions that pyproject.toml allows: `make lowest` runs it with them, without pytest.

Every module is imported; then comparisons, plots, a report, every explorer, some files of each format, a notebook and a run
with real load. The deeper tests run with the locked versions.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"
ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {"asgiref", "django", "pytest"}
"""What only users of a framework have: the modules that hook into it need it."""
LOCUSTFILE = """
from locust import FastHttpUser, constant, task


class Visitor(FastHttpUser):
    wait_time = constant(0.02)

    @task
    def home(self):
        self.client.get("/")
"""
IMPORTS = ("modules", "locust")


def main() -> None:
    started = time.monotonic()
    for which in IMPORTS:
        subprocess.run([sys.executable, __file__, which], check=True, timeout=600)
    with tempfile.TemporaryDirectory(prefix="perflab-smoke-") as folder:
        for check in (decide, show, read_samples, keep_notebooks, drive):
            check(Path(folder))
            print(f"smoke: {check.__name__}, {time.monotonic() - started:.0f} s", flush=True)


def import_all(which: str) -> None:
    """Each module; those that need Locust (which patches its process) in a process of their own."""
    import perflab

    inside = {f"perflab.loadtest.{name}" for name in ("recorder", "launcher", "arrivals", "remote")}
    generated = "perflab.loadtest.url_users"  # a locustfile that is loaded with a plan's settings
    for module in pkgutil.walk_packages(perflab.__path__, "perflab."):
        locust = module.name in inside or module.name.endswith("locustfile")
        if locust == (which == "locust") and not module.name.endswith("__main__") and module.name != generated:
            try:
                import_module(module.name)
            except ModuleNotFoundError as problem:
                if str(problem.name).partition(".")[0] not in FRAMEWORKS:
                    raise
    for name in perflab.__all__:
        getattr(perflab, name)


def decide(folder: Path) -> None:
    import perflab as lab

    before, after = arms()
    change = lab.compare(before, after, primary="GET /orders")
    assert change.verdict == "improved", change
    assert "improved" in change._repr_html_()
    assert len(lab.summarize(before))
    assert lab.check(after, [lab.Objective("p95", "<", "10s")]).verdict == "holds"
    assert len(lab.find_n_plus_one(lab.read(ROOT / "datasets" / "shop_queries.jsonl").queries))
    lab.Report("smoke", [before, after, change, lab.plot_ecdf(before, after)]).save(folder / "report.html")
    lab.data.write_jtl(after.where(pair=1), folder / "one.jtl")
    assert len(lab.read(folder / "one.jtl").requests) == len(after.where(pair=1).requests)


def show(folder: Path) -> None:
    import matplotlib.pyplot as plt

    import perflab as lab

    before, after = arms()
    for plot in (lab.plot_ecdf, lab.plot_pairs, lab.plot_timeline, lab.plots.plot_resources):
        plot(before, after)
        plt.savefig(folder / "plot.png")
    lab.plots.plot_heatmap(after)
    plt.savefig(folder / "plot.png")
    plt.close("all")
    lab.explore(before, after)
    lab.explore(before)
    lab.explore(lab.read(ROOT / "datasets" / "shop_queries.jsonl").queries)


def read_samples(folder: Path) -> None:
    import perflab as lab

    read = 0
    for kind in sorted(path for path in (ROOT / "tests" / "samples").iterdir() if path.is_dir()):
        for file in sorted(kind.iterdir())[:12]:
            options = file.with_name(f"{file.name}.options.json")
            if file.name == "README.md" or ".golden." in file.name or file.name.endswith(".options.json"):
                continue
            try:
                lab.read(file, **(json.loads(options.read_text()) if options.exists() else {}))
                read += 1
            except lab.PerflabError:
                pass  # samples of damage are among them
    assert read > 60, read


def keep_notebooks(folder: Path) -> None:
    import perflab as lab

    store = {"store": str(ROOT / "datasets" / "shop_runs"), "baseline": "n+1", "candidate": "eager"}
    book = lab.execute_notebook(lab.new_notebook("Smoke?", folder), parameters=store)
    page = lab.export_notebook(book, folder / "smoke.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "95 % interval" in page


def drive(folder: Path) -> None:
    import perflab as lab
    from perflab.demo.investigation import shop

    (folder / "locustfile.py").write_text(LOCUSTFILE)
    page = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder)]
    port = shop("any").host.rpartition(":")[2]
    target = lab.Target("files", command=[*page, port], host=f"http://127.0.0.1:{port}", ready="/")
    for workers, stage in ((1, lab.Stage("2s", users=2)), (2, lab.Stage("2s", users=2)), (1, lab.Stage("2s", rate=20))):
        plan = lab.LoadPlan(folder / "locustfile.py", stages=[stage], workers=workers)
        kept = lab.run(plan, target, store=folder / "runs", progress=False)
        assert kept.runs["valid"].all(), list(kept.runs["reasons"])
        assert len(kept.requests) > 10
    plan = lab.LoadPlan(import_module("perflab.demo").__path__[0] + "/locustfile.py", stages=[lab.Stage("2s", users=4)])
    recorded = lab.run(plan, shop("n+1", record_queries=True), store=folder / "runs", progress=False)
    assert len(recorded.queries) > 10
    assert len(lab.load(folder / "runs").runs) == 4


def arms() -> tuple[object, object]:
    import perflab as lab

    runs = lab.load(ROOT / "datasets" / "shop_runs")
    return runs.where(arm="n+1"), runs.where(arm="eager")


if __name__ == "__main__":
    if sys.argv[1:]:
        import_all(sys.argv[1])
        os._exit(0)  # gevent, imported by Locust, prints a traceback at an ordinary exit
    else:
        main()
