"""The work of measures.ts on asyncio or uvloop. `python peers.py asyncio|uvloop <name>` prints nanoseconds."""

import asyncio
import statistics
import sys
import time

WORKERS, SWITCHES, TASKS, TIMERS, ITEMS = 1000, 100, 10_000, 100_000, 50_000


async def switch():
    async def worker():
        for _ in range(SWITCHES):
            await asyncio.sleep(0)

    began = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(WORKERS)])
    return (time.perf_counter() - began) / (WORKERS * SWITCHES)


async def spawn_one():
    async def job():
        return 1

    began = time.perf_counter()
    for _ in range(TASKS):
        await asyncio.gather(job())
    return (time.perf_counter() - began) / TASKS


async def spawn():
    async def job():
        return 1

    began = time.perf_counter()
    await asyncio.gather(*[job() for _ in range(TASKS)])
    return (time.perf_counter() - began) / TASKS


def nothing():
    pass


DELAYS = [100 + ((i * 7919) % 1_000_003) / 1000 for i in range(TIMERS)]


async def call_later():
    loop = asyncio.get_running_loop()
    handles = []
    began = time.perf_counter()
    for delay in DELAYS:
        handles.append(loop.call_later(delay, nothing))
    took = (time.perf_counter() - began) / TIMERS
    for handle in handles:
        handle.cancel()
    return took


async def cancel():
    loop = asyncio.get_running_loop()
    handles = [loop.call_later(delay, nothing) for delay in DELAYS]
    began = time.perf_counter()
    for handle in handles:
        handle.cancel()
    return (time.perf_counter() - began) / TIMERS


async def queue():
    queue = asyncio.Queue(100)

    async def producer():
        for i in range(ITEMS):
            await queue.put(i)

    task = asyncio.create_task(producer())
    began = time.perf_counter()
    for _ in range(ITEMS):
        await queue.get()
    took = (time.perf_counter() - began) / ITEMS
    await task
    return took


MEASURES = {"switch": switch, "spawn + gather, one by one": spawn_one, "spawn + gather, all at once": spawn, "callLater": call_later, "callLater, cancel": cancel, "queue put + get": queue}

if __name__ == "__main__":
    kind, name = sys.argv[1:]
    if kind == "uvloop":
        import uvloop

        runner = uvloop.run if hasattr(uvloop, "run") else None
        if runner is None:
            uvloop.install()
    # The median, as in measures.ts.
    print(statistics.median(asyncio.run(MEASURES[name]()) for _ in range(9)) * 1e9)
