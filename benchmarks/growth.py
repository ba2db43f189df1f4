"""How the cost grows: runs a second and pages with a long history behind them, and with many flows.

python -m benchmarks.growth [--histories 10000 100000 1000000] [--flows 10 100 1000] [--webhooks 3000]

For each size a data folder is filled, a server started on it, webhooks sent as fast as they are accepted
and each page asked for ten times.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import httpx
from sqlalchemy import Connection, update

from app.flows.model import FlowDefinition
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.flows import flows
from app.storage.tables.models import Flow
from benchmarks import history_pages
from benchmarks.load import Reader, Target, install, post_all, product, until_all_came
from tests.product import Product

PAGES = {"home": "/", "flows": "/flows", "runs": "/runs", "failed runs": "/runs?state=failed"}
REPEATS = 10
SMALL = FlowDefinition.model_validate(
    {"name": "Another", "trigger": {"kind": "webhook"}, "steps": [{"id": "s1", "kind": "stop"}]}
)


def with_history(runs: int) -> Callable[[Product], None]:
    def fill(database: Database) -> None:
        history_pages.make(database, runs)
        draft = flows.stored(SMALL)
        database.write(lambda db: db.execute(update(Flow).values(draft=draft)))

    return lambda served: _in_database(served, fill)


def with_flows(number: int) -> Callable[[Product], None]:
    """Each is published, on, and has an address of its own."""

    def add(db: Connection) -> None:
        now = history_pages.END
        for _ in range(number):
            flow_id = flows.create_flow(db, name="Another", definition=SMALL, owner_id=None, now=now)
            flows.add_version(db, flow_id, SMALL, by=None, now=now)
            flows.set_on(db, flow_id, True, now=now)

    return lambda served: _in_database(served, lambda db: db.write(add))


def _in_database(served: Product, work: Callable[[Database], object]) -> None:
    served.add_user()  # makes and migrates the database
    database = Database(Settings(data_dir=served.data_dir).database)
    database.start()
    migrate(database)
    try:
        work(database)
    finally:
        database.close()


async def measure(name: str, prepare: Callable[[Product], None], webhooks: int) -> None:
    target = Target(0.0)
    await target.start()
    async with product(target, prepare=prepare) as served:
        address = install(served, "bench-a", target)
        size = (served.data_dir / "plumbline.db").stat().st_size
        await post_all(address, range(500), 16)  # warm
        await until_all_came(target, 500, 60)
        sent = await post_all(address, range(500, 500 + webhooks), 16)
        await until_all_came(target, 500 + webhooks, 120)
        rate = webhooks / (target.last - sent.begun)
        pages = await asyncio.to_thread(look_at_pages, served)
        acks = f"ack p50 {sent.at(0.5):.0f} p99 {sent.at(0.99):.0f} ms"
        times = ", ".join(f"{page} {ms:.0f}" for page, ms in pages.items())
        print(f"{name:16} {size / 1e6:7.0f} MB {rate:5.0f} runs/s  {acks}  {times}", flush=True)


def look_at_pages(served: Product) -> dict[str, float]:
    """The median of each page in milliseconds, nothing else going on."""
    reader = Reader(served, PAGES)
    with httpx.Client(base_url=served.base_url, trust_env=False, timeout=60) as client:
        reader.sign_in(client)
        for name in PAGES:
            for _ in range(REPEATS):
                reader.look(client, name)
    if reader.wrong:
        raise SystemExit(f"Not every page came: {reader.wrong}")
    return {name: 1000 * statistics.median(times) for name, times in reader.seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--flows", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--webhooks", type=int, default=3000)
    options = parser.parse_args()
    begun = time.perf_counter()
    for runs in options.histories:
        asyncio.run(measure(f"{runs:,} runs", with_history(runs), options.webhooks))
    for number in options.flows:
        asyncio.run(measure(f"{number:,} flows", with_flows(number), options.webhooks))
    print(f"in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
