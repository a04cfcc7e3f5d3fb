"""Celery and alternatives to it, each set up as on its first documentation page.

python -m benchmarks.plain.peers NAME bring TASKS     enqueue TASKS tasks, one after the other, or thirty-two at once
                                                      if the library is asynchronous; print seconds and CPU seconds
python -m benchmarks.plain.peers NAME work            run a worker until it is stopped

REDIS_URL is the address of Redis. All that a task does is increment the key `done`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis
import redis.asyncio

URL = os.environ["REDIS_URL"]
HOST, PORT = URL.removeprefix("redis://").removesuffix("/0").split(":")
DONE = "done"
#: Tasks enqueued at once: as many as a webhook has connections.
AT_ONCE = 32
client = redis.Redis.from_url(URL)
asynchronous = redis.asyncio.Redis.from_url(URL)


def done(_: str = "") -> None:
    """Run the task."""
    client.incr(DONE)


async def adone(*_: Any, **__: Any) -> None:  # Any: each queue's own context
    """Run the task in a library whose tasks are coroutines."""
    await asynchronous.incr(DONE)


async def all_at_once(put: Callable[[str], Awaitable[object]], tasks: int) -> None:
    """Enqueue tasks, `AT_ONCE` at a time."""
    numbers = iter(range(tasks))

    async def some() -> None:
        for number in numbers:
            await put(str(number))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def celery(command: str, tasks: int) -> None:
    """Run Celery: a pool of threads, late acknowledgement."""
    from celery import Celery

    app = Celery("peers", broker=URL)
    app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=1)
    task = app.task(name="done")(done)
    if command == "work":
        app.worker_main(
            [
                "worker",
                "--pool",
                "threads",
                "--concurrency",
                "8",
                "--without-gossip",
                "--without-mingle",
                "--loglevel",
                "WARNING",
            ]
        )
    for number in range(tasks):
        task.delay(str(number))


def dramatiq(command: str, tasks: int) -> None:
    """Run dramatiq: threads, late acknowledgement."""
    import dramatiq as library
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=URL)
    library.set_broker(broker)
    actor = library.actor(done, actor_name="done", queue_name="peers")
    if command == "work":
        worker = library.Worker(broker, worker_threads=8)
        worker.start()
        while True:
            time.sleep(1)
    for number in range(tasks):
        actor.send(str(number))


def rq(command: str, tasks: int) -> None:
    """Run RQ: one process, one task at a time, no fork per task."""
    from rq import Queue, SimpleWorker

    # RQ names a task by module and function, so the module must be imported under its own name
    from benchmarks.plain import peers

    queue = Queue("peers", connection=client)
    if command == "work":
        SimpleWorker([queue], connection=client).work(logging_level="WARNING")
    for number in range(tasks):
        queue.enqueue(peers.done, str(number), result_ttl=0)


def huey(command: str, tasks: int) -> None:
    """Run huey: threads; a task is removed from Redis when a worker takes it."""
    from huey import RedisHuey

    app = RedisHuey("peers", url=URL, results=False)
    task = app.task(name="done")(done)
    if command == "work":
        app.create_consumer(workers=8).run()
    for number in range(tasks):
        task(str(number))


def arq(command: str, tasks: int) -> None:
    """Run arq: coroutines."""
    from arq import create_pool, func
    from arq.connections import RedisSettings
    from arq.worker import Worker

    settings = RedisSettings(host=HOST, port=int(PORT))
    if command == "work":
        Worker(
            [func(adone, name="done")], redis_settings=settings, keep_result=0, poll_delay=0.05, max_jobs=AT_ONCE
        ).run()

    async def bring() -> None:
        pool = await create_pool(settings)
        await all_at_once(lambda number: pool.enqueue_job("done", number), tasks)

    asyncio.run(bring())


def saq(command: str, tasks: int) -> None:
    """Run SAQ: coroutines."""
    from saq import Queue, Worker

    queue = Queue.from_url(URL, name="peers")
    if command == "work":
        asyncio.run(Worker(queue, functions=[("done", adone)], concurrency=AT_ONCE).start())

    async def bring() -> None:
        await queue.connect()
        await all_at_once(lambda number: queue.enqueue("done", number=number, ttl=-1), tasks)

    asyncio.run(bring())


def taskiq(command: str, tasks: int) -> None:
    """Run taskiq: coroutines, a Redis stream, acknowledgement."""
    from taskiq.api import run_receiver_task
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(url=URL)
    task = broker.register_task(adone, task_name="done")
    if command == "work":
        asyncio.run(run_receiver_task(broker, max_async_tasks=AT_ONCE, run_startup=True))

    async def bring() -> None:
        await broker.startup()
        await all_at_once(task.kiq, tasks)
        await broker.shutdown()

    asyncio.run(bring())


PEERS = {"Celery": celery, "dramatiq": dramatiq, "RQ": rq, "huey": huey, "arq": arq, "SAQ": saq, "taskiq": taskiq}

if __name__ == "__main__":
    name, what, *rest = sys.argv[1:]
    begun, spent = time.perf_counter(), time.process_time()
    PEERS[name](what, int(rest[0]) if rest else 0)
    print(time.perf_counter() - begun, time.process_time() - spent)
