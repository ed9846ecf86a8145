"""Stores in an object store: runs arrive whole or not at all, and are read like those of a folder."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab
from perflab.data.places import RemotePath, place_of
from perflab.data.store import Draft
from perflab.errors import StoreError

Builder = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an empty bucket of moto's server, with what follows the path."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    server.start()
    host, port = server.get_host_and_port()
    from pyarrow.fs import S3FileSystem

    endpoint = {"endpoint_override": f"{host}:{port}", "scheme": "http", "region": "us-east-1"}
    S3FileSystem(**endpoint, allow_bucket_creation=True).create_dir("bench")
    yield "s3://bench/{}?" + "&".join(f"{name}={value}" for name, value in endpoint.items())
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def keep(make_requests: Builder, make_load: Builder) -> Callable[..., Any]:
    def kept(store: str | Path, arm: str = "a", **record: Any) -> Any:
        draft = Draft(store, arm)
        draft.write("requests", make_requests("r", count=400, seed=len(arm)))
        draft.append("load", make_load("r"))
        (draft.folder / "logs" / "locust.log").write_text("fine")
        return draft.sent(
            draft.keep({"arm": arm, "start": "2026-11-24T01:45:00+00:00", "duration_ms": 3e4, "valid": True, **record})
        )

    return kept


@pytest.mark.parametrize("lazy", [False, True])
def test_runs_of_an_object_store_are_those_of_a_folder(
    bucket: str, keep: Callable[..., Any], tmp_path: Path, lazy: bool
) -> None:
    address = bucket.format(f"same{lazy}")
    placed = [keep(address, arm) for arm in ("a", "bb")]
    assert all(isinstance(place, RemotePath) for place in placed)
    local = [keep(tmp_path / "runs", arm) for arm in ("a", "bb")]
    there, here = lab.load(address, lazy=lazy), lab.load(tmp_path / "runs")
    assert there.runs["arm"].to_list() == ["a", "bb"] and not there.warnings
    for table in ("requests", "load"):
        one, other = (held.tables[table].drop(columns="run") for held in (there, here))
        pd.testing.assert_frame_equal(one, other)
    again = lab.summarize(lab.load(address, lazy=lazy))  # the second time from what was kept
    for found in (lab.summarize(there), again):
        pd.testing.assert_frame_equal(
            found.drop(columns="run"), lab.summarize(here).drop(columns="run"), check_exact=True
        )
    for use in (lambda m: lab.stats.within(m).table, lambda m: lab.summarize(lab.data.latency_band(m, "30ms"))):
        one, other = (use(held).drop(columns="run") for held in (there, here))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert lab.load(placed[1]).runs["arm"].item() == "bb"
    assert len(local) == 2 and "s3://bench" in str(placed[0])


def test_files_are_ingested_into_an_object_store(bucket: str) -> None:
    lab.ingest("datasets/shop_queries.jsonl", bucket.format("ingested"), arm="n+1")
    assert len(lab.load(bucket.format("ingested")).queries) == len(lab.read("datasets/shop_queries.jsonl").queries)


def test_an_interrupted_upload_is_no_run_and_loses_nothing(
    bucket: str, keep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket.format("interrupted")
    keep(address, "whole")
    sent: list[str] = []
    upload = RemotePath.upload

    def fails(self: RemotePath, file: Path) -> None:
        if len(sent) == 2:
            raise OSError("connection reset")
        sent.append(file.name)
        upload(self, file)

    monkeypatch.setattr(RemotePath, "upload", fails)
    with pytest.raises(StoreError, match="the upload failed") as problem:
        keep(address, "cut")
    assert "run.json" not in sent
    assert lab.load(address).runs["arm"].to_list() == ["whole"]
    place = Path(str(problem.value).rpartition(" ")[2])
    assert lab.load(place).runs["arm"].item() == "cut"
    shutil.rmtree(place.parent)


def test_files_of_one_call_become_runs_together(bucket: str, tmp_path: Path) -> None:
    address = bucket.format("batch")
    (tmp_path / "bad.txt").write_text("of no tool\n")
    with pytest.raises(lab.FormatError):
        lab.ingest(["datasets/shop_queries.jsonl", tmp_path / "bad.txt"], address)
    with pytest.raises(StoreError, match="found none"):
        lab.load(address)
    with ProcessPoolExecutor(1) as pool:
        (place,) = lab.ingest("datasets/shop_queries.jsonl", address, executor=pool)
    assert lab.load(address).runs["run"].to_list() == [place.name]
    assert lab.read(address).runs["run"].to_list() == [place.name]
    with pytest.raises(lab.FormatError, match="found no runs"):
        lab.read(bucket.format("nothing"))


def test_what_is_sent_to_a_worker_does_not_grow_with_the_store(bucket: str, keep: Callable[..., Any]) -> None:
    address, sizes = bucket.format("sent"), []
    for _ in range(2):
        for arm in ("a", "b", "c"):
            keep(address, arm)
        held = lab.load(address, lazy=True)
        sent = pickle.dumps(next(iter(held.tables.stored.values())))  # type: ignore[attr-defined]
        run = pickle.loads(sent)  # noqa: S301 - as a worker does
        sizes.append(len(run.folder.listing))
        assert len(run.requests()) == 400
    assert sizes[0] == sizes[1] == 4


def test_several_machines_write_at_once(bucket: str, keep: Callable[..., Any]) -> None:
    address = bucket.format("together")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: keep(address, f"arm {n}"), range(4)))
    assert sorted(lab.load(address, lazy=True).runs["arm"]) == [f"arm {n}" for n in range(4)]


def test_damage_and_absence_are_reported(bucket: str, keep: Callable[..., Any]) -> None:
    address = bucket.format("damaged")
    with pytest.raises(StoreError, match="expected a folder with runs in it"):
        lab.load(address)
    keep(address, "good")
    bad = keep(address, "bad")
    (bad / "requests.parquet").write_bytes(b"PAR1")
    held = lab.load(address, lazy=True)
    assert held.runs["arm"].to_list() == ["good"] and [note.code for note in held.warnings] == ["damaged-run"]
    for nowhere in ("nothing://bench/runs", Path("nothing://bench/runs")):
        with pytest.raises(StoreError, match="expected a folder or an address"):
            lab.load(nowhere)


def test_addresses_and_folders() -> None:
    assert place_of("runs") == Path("runs")
    assert place_of("file:///tmp/runs") == Path("/tmp/runs")
    assert place_of(Path("a://b")) == Path("a:/b")
