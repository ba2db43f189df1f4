"""A spike: webhooks as fast as they are accepted, on a service that takes its time.

python -m benchmarks.spike [--webhooks 10000] [--connections 64] [--delay 0.2]
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.load import Target, install, post_all, product, until_all_came


async def spike(webhooks: int, connections: int, delay_s: float) -> None:
    target = Target(delay_s)
    await target.start()
    async with product(target) as served:
        address = install(served, "bench-a", target)
        sent = await post_all(address, range(webhooks), connections)
        await until_all_came(target, webhooks, 300)
        lost = webhooks - len(target.got)
        print(f"answers: {dict(sent.statuses)}; accepted within {sent.took_s:.1f} s")
        print(f"ack p50 {sent.at(0.5):.0f} ms, p99 {sent.at(0.99):.0f} ms, longest {sent.at(1):.0f} ms")
        print(f"last call {target.last - sent.begun:.1f} s after the first webhook; lost {lost}, ", end="")
        print(f"called more than once {sum(n > 1 for n in target.got.values())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.2)
    options = parser.parse_args()
    asyncio.run(spike(options.webhooks, options.connections, options.delay))


if __name__ == "__main__":
    main()
