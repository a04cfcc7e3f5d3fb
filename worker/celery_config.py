"""Define Celery's settings, each with its reason.

Facts and measurements behind them: `docs/explanation/celery.md`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from inbox import keys, payloads
from inbox.connection import OPTIONS

#: A reconciliation reads all unfinished rows and the carrier's list; after half an hour it hangs.
RECONCILE_TIME_LIMIT_SECONDS: Final = 1800
#: A child of a prefork pool connects before it reports ready; Celery's default kills it after 4 s.
CHILD_START_SECONDS: Final = 60.0


def celery_settings(
    *,
    redis_url: str,
    pool: str,
    concurrency: int,
    task_time_limit: timedelta,
    sweep_interval: timedelta,
    reconcile_interval: timedelta,
) -> dict[str, Any]:  # Any: Celery's own settings
    """Return every setting that differs from Celery's defaults."""
    return {
        "broker_url": redis_url,
        # wake-up tasks have no result: nothing reads one, and storing it would cost a write a task
        "task_ignore_result": True,
        # a task is acknowledged after the visit: until then it occupies a slot, so that no worker hoards tasks
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # a visit that fails has put its person back on the agenda, so the task itself is done
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # one task a thread: a reserved task would wait behind a busy worker while another worker is idle
        "worker_prefetch_multiplier": 1,
        # a visit waits for models and carriers and computes little: threads hold the most conversations per GB
        # and lose no task. prefork is supported for operators who want one process per conversation.
        # gevent is not supported: on Redis a cold stop loses its tasks, and they are never restored
        "worker_pool": pool,
        "worker_concurrency": concurrency,
        "broker_transport_options": {
            # kombu's second list holds the tasks in progress, and delivers a dead worker's tasks again after minutes.
            # It costs two transactions a turn and finds nothing more than the sweep, which reads the agenda (the people
            # who are due) every few seconds
            "ack_emulation": False,
            **OPTIONS,
            "client_name": "dadacat-worker",
            # one priority: one key to wait at, not four
            "priority_steps": [0],
        },
        "broker_connection_retry_on_startup": True,
        # a worker has nothing to do without Redis, so it waits for as long as it takes
        "broker_connection_max_retries": None,
        # a Redis that answers with an error, such as a primary that became a replica, is connected to again
        "broker_channel_error_retry": True,
        "broker_pool_limit": 16,
        # the default waits for ever
        "broker_pool_acquire_timeout": 5,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
        # only JSON is accepted: the queue must not be a way to run code
        "accept_content": ["json"],
        "task_default_queue": keys.QUEUE,
        # Flower needs these events; they cost 2 ms of CPU a task
        "worker_send_task_events": True,
        "worker_disable_rate_limits": True,
        "worker_eta_task_limit": 500,
        # only prefork children obey this limit, which ends a child that hangs. Threads have no time limits:
        # every wait in a visit has its own deadline
        "task_time_limit": task_time_limit.total_seconds(),
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        # `worker.tasks` configures logging, the same way for every process
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "timezone": "UTC",
        # beat keeps no schedule file: each of its tasks may run at any time, twice, or by several beats at once
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_schedule": {
            # no `expires`: it compares beat's clock with the worker's, and a worker whose clock is ahead would drop
            # every sweep
            "sweep": {"task": payloads.SWEEP_TASK, "schedule": sweep_interval},
            "reconcile": {"task": payloads.RECONCILE_TASK, "schedule": reconcile_interval},
        },
    }
