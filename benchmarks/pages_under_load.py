"""How long pages take while webhooks pour in: workload C, again and again, with a reader beside it.

python -m benchmarks.pages_under_load [--bursts 3] [--webhooks 5000] [--connections 50]
"""

from __future__ import annotations

import argparse
import asyncio

import orjson

from benchmarks.load import Reader, Target, install, post_all, product, until_all_came
from tests.product import Product


def pages_of(served: Product) -> dict[str, str]:
    flow_id = orjson.loads(served.command("flows", "list", "--json"))[0]["id"]
    return {
        "home": "/",
        "flows": "/flows",
        "runs": "/runs",
        "runs of the flow": f"/runs?flow={flow_id}",
        "runs that failed": "/runs?state=failed",
        "deliveries": f"/flows/{flow_id}/deliveries",
        "builder": f"/flows/{flow_id}",
        "connections": "/connections",
    }


async def measure(bursts: int, webhooks: int, connections: int) -> None:
    target = Target(0.0)
    await target.start()
    async with product(target, prepare=Product.add_user) as served:
        address = install(served, "bench-a", target)
        reader = Reader(served, pages_of(served))
        await asyncio.sleep(1)
        reader.start()
        for burst in range(bursts):
            sent = await post_all(address, range(burst * webhooks, (burst + 1) * webhooks), connections)
            await until_all_came(target, (burst + 1) * webhooks, 120)
            print(f"{sent.statuses}, all calls made after {target.last - sent.begun:.1f} s")
            print(f"ack p50 {sent.at(0.5):.0f} ms, p99 {sent.at(0.99):.0f} ms")
        await asyncio.to_thread(reader.stop)
    report(reader.seconds)
    if reader.wrong:
        raise SystemExit(f"Not every page came: {reader.wrong}")


def report(seconds: dict[str, list[float]]) -> None:
    print(f"{'milliseconds':20} {'pages':>6} {'p50':>6} {'p95':>6} {'longest':>8}")
    every = sorted(one for times in seconds.values() for one in times)
    for name, times in [*seconds.items(), ("all", every)]:
        at = sorted(1000 * one for one in times)
        if at:
            print(
                f"{name:20} {len(at):6} {at[len(at) // 2]:6.0f} {at[len(at) * 95 // 100]:6.0f} {at[-1]:8.0f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--webhooks", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=50)
    options = parser.parse_args()
    asyncio.run(measure(options.bursts, options.webhooks, options.connections))


if __name__ == "__main__":
    main()
