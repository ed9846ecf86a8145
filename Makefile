# Two commands do everything on a machine with Python 3.11+ and make: `make demo` and `make test`.
# Each target sets up .venv by itself, and again only when the lock or pyproject.toml changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint lowest docs lab bench foreign calibration aa kills sound reasons examples foreign-logs perf-files damage snapshots waiting accounts sequential gates lock clean caches access-logs pages scale live images

help:
	@sed -n 's/^## //p' Makefile

## make demo         six pairs of real load tests against a shop with an N+1, and the report (5 minutes)
demo: $(READY)
	@$(BIN)/perflab demo

## make test         lint, types, layers and all tests
test: lint
	@$(BIN)/python -m compileall -q perflab  # hundreds of processes start: each would compile what it imports
	$(BIN)/python -m pytest -n 2 --dist loadfile

## make lint         ruff, mypy --strict and the import contracts
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## make lowest       a smoke test with the lowest versions of all dependencies, in an environment of its own (2 minutes)
LOWEST := $(VENV)-lowest
lowest: $(READY)
	@test -d $(LOWEST) || $(BIN)/uv venv --quiet --python $(BIN)/python $(LOWEST)
	@$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --all-extras -r pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps -e .
	$(LOWEST)/bin/python tests/smoke.py

## make docs         the documentation as a site, in an environment of its own: open build/site/index.html
DOCS := $(VENV)-docs
docs: $(READY) $(DOCS)/.ready
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --config-file .ci/site.yml

$(DOCS)/.ready: pyproject.toml
	@test -d $(DOCS) || $(BIN)/uv venv --quiet --python $(BIN)/python $(DOCS)
	@$(BIN)/uv pip install --quiet --python $(DOCS) --group docs
	@touch $@

## make lab          JupyterLab on the notebooks
lab: $(READY)
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

## make bench        speed beside peers, as ratios of one run
bench: $(READY)
	@for script in bench/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

## make live         what the live view costs: CPU, and the lag of the generator (2 minutes)
live: $(READY)
	$(BIN)/python bench/live_view.py > bench/live_view.md

## make foreign      other projects' result files and k6 scripts (FOLDER=checkouts of them) against plain parsers and k6
foreign: $(READY)
	$(BIN)/python bench/foreign_files.py $(FOLDER) > bench/foreign_files.md && $(BIN)/python bench/k6_scripts.py $(FOLDER)

## make foreign-logs other projects' query logs (FOLDERS=folders of them), counted by pgBadger and pt-query-digest too
foreign-logs: $(READY)
	$(BIN)/python bench/foreign_logs.py $(FOLDERS) > bench/foreign_logs.md

## make perf-files   perf script files of FlameGraph and inferno (FOLDERS=checkouts of them), counted by stackcollapse-perf.pl too
perf-files: $(READY)
	$(BIN)/python bench/perf_files.py $(FOLDERS) --write

## make scale        200 runs of a million requests, a history of 500 runs, a log of 10 GB (FOLDER=an empty one, 14 GB; 30 minutes; resumes)
scale: $(READY)
	$(BIN)/python bench/scale.py write $(FOLDER)
	$(BIN)/python bench/scale.py measure $(FOLDER)
	$(BIN)/python bench/scale_of_logs.py write $(FOLDER)
	$(BIN)/python bench/scale_of_logs.py measure $(FOLDER)
	($(BIN)/python bench/scale.py table $(FOLDER); $(BIN)/python bench/scale_of_logs.py table $(FOLDER)) > bench/scale.md

## make access-logs  100 MB of access log in six dialects: time, memory, and how well plans fit (5 minutes)
access-logs: $(READY)
	$(BIN)/python bench/access_logs.py > bench/access_logs.md

## make damage       the samples of every format, damaged in ten ways each (2 minutes)
damage: $(READY)
	$(BIN)/python bench/damaged_files.py > bench/damaged_files.md

## make snapshots    perflab's readers of profiles against speedscope's own snapshots (FOLDER=a checkout of speedscope)
snapshots: $(READY)
	$(BIN)/python bench/speedscope_snapshots.py $(FOLDER) --write

## make waiting      endpoints that wait for 90 % of their time under three profilers, against the truth (2 minutes)
waiting: $(READY)
	$(BIN)/python bench/waiting.py --write

## make calibration  the full simulations behind the decision rules (long)
calibration: $(READY)
	$(BIN)/python bench/calibrate.py
	$(BIN)/python bench/calibrate_planning.py
	$(BIN)/python bench/calibrate_profiles.py
	$(BIN)/python bench/calibrate_floor.py
	$(BIN)/python bench/calibrate_conditions.py --raw $(VENV)/conditions.jsonl --seconds 20000
	$(BIN)/python bench/calibrate_conditions.py --raw $(VENV)/conditions.jsonl --write

## make accounts     how often the account's intervals hold, and what it says of known delays and fixes on the shop (40 minutes)
accounts: $(READY)
	$(BIN)/python bench/calibrate_accounts.py
	$(BIN)/python bench/account_shop.py fixes --rounds 6
	$(BIN)/python bench/account_shop.py injections --rounds 6
	$(BIN)/python bench/account_shop.py cpu --rounds 6
	$(BIN)/python bench/account_shop.py tables

## make sequential   calls in a row of the shop: found, and their fix predicted and measured (10 minutes)
sequential: $(READY)
	$(BIN)/python bench/sequential_shop.py run --tries 10
	$(BIN)/python bench/sequential_shop.py table

## make caches       caches predicted from recordings, and a real Redis: TTL, memory, writes, sampling, speed (20 minutes)
caches: $(READY)
	for ttl in 2 5 15; do for skew in 0.8 1.1; do $(BIN)/python bench/cache_shop.py run --ttl $$ttl --skew $$skew; done; done
	$(BIN)/python bench/cache_shop.py table
	for what in memory writes sampling speed; do $(BIN)/python bench/cache_redis.py $$what; done

## make images      bytes of images as Pillow encodes them, against cwebp and avifenc (1 minute)
images: $(READY)
	$(BIN)/python bench/images.py

## make aa           the shop against itself with real load, five times: false alarms, if any (10 minutes)
aa: $(READY)
	$(BIN)/python bench/same_against_same.py

## make kills        runs that end in every way, killed or on a full disk: is every request accounted for? (10 minutes)
kills: $(READY)
	$(BIN)/python bench/kills.py > bench/kills.md

## make sound        8 minutes of sound runs on a quiet machine: false alarms about the generator, if any
sound: $(READY)
	$(BIN)/python bench/sound_runs.py > bench/sound_runs.md

## make reasons      real runs that show why a run is not valid, and the same without the cause (3 minutes)
reasons: $(READY)
	$(BIN)/python bench/reasons_shown.py > bench/reasons_shown.md

## make examples     locustfiles of other projects (FOLDER=checkouts of them) beside plain Locust (25 minutes)
examples: $(READY)
	unshare --map-root-user --net sh -c 'ip link set lo up && $(BIN)/python bench/locust_examples.py $(FOLDER)' > bench/locust_examples.md

## make gates        gates of real load: 20 % slower, the same, stored baselines on other machines (70 minutes; resumes)
gates: $(READY)
	$(BIN)/python bench/gates.py --raw $(VENV)/gates.jsonl --seconds 9000
	$(BIN)/python bench/gates.py --raw $(VENV)/gates.jsonl --write

## make pages        pages with known faults in a browser: found, and nothing else (30 minutes; resumes)
pages: $(READY)
	$(BIN)/python bench/pages.py --raw $(VENV)/pages.jsonl --seconds 9000
	$(BIN)/python bench/pages.py --raw $(VENV)/pages.jsonl --write

## make lock         pin all dependencies anew
lock: $(READY)
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes --upgrade \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock

## make clean        remove what was built and measured here (the environment too)
clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-docs runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "setting up $(VENV) ..."
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@
