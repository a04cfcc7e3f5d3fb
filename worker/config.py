"""Celery's settings, each with its reason. Facts and measurements behind them: `docs/explanation/celery.md`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from inbox import contract

#: Longer than the longest visit, 60 s, a reply of 20 s, a send of 10 s, with room: a child of a prefork pool that is still busy by then hangs.
TASK_TIME_LIMIT_SECONDS: Final = 150
#: A reconciliation goes through all that is unfinished and through the carrier's list; after half an hour it hangs.
RECONCILE_TIME_LIMIT_SECONDS: Final = 1800
#: A child of a prefork pool makes its connections before it says that it is there; the default kills it after 4 s.
CHILD_START_SECONDS: Final = 60.0
#: A Redis that takes no connection within this is not there.
CONNECT_TIMEOUT_SECONDS: Final = 3
#: Longer than the second for which the transport waits at the queue; a Redis that is silent for longer is gone.
SOCKET_TIMEOUT_SECONDS: Final = 10


def celery_settings(
    *, redis_url: str, pool: str, concurrency: int, sweep_interval: timedelta, reconcile_interval: timedelta
) -> dict[str, Any]:  # Any: Celery's own settings
    """All that differs from Celery's defaults."""
    return {
        "broker_url": redis_url,
        # tasks are doorbells without results: nobody reads one, and storing it would cost a write a task
        "result_backend": None,
        "task_ignore_result": True,
        # a doorbell is acknowledged after the visit: until then it takes the place of another, so that no worker hoards them
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # a visit that fails has parked its person on the agenda: the doorbell itself is done
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # one doorbell a thread: a reserved one would wait behind a busy worker while another is idle
        "worker_prefetch_multiplier": 1,
        # models and carriers are waited for, not computed: threads hold the most conversations per GB and lose no task. prefork is
        # supported for whoever wants a process each. gevent is not: on Redis its tasks are lost on a cold stop, and never restored
        "worker_pool": pool,
        "worker_concurrency": concurrency,
        "broker_transport_options": {
            # who is to be looked at stands on the agenda, which is looked at every few seconds; kombu's second list of the bells that are
            # being heard, after which a dead worker's are rung again in minutes, costs two transactions a turn and tells nothing new
            "ack_emulation": False,
            # without these a half-open connection hangs a worker for ever
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "max_connections": 64,
            "client_name": "dadacat-worker",
            # one priority: one key to wait at, not four
            "priority_steps": [0],
        },
        "broker_connection_retry_on_startup": True,
        # a worker without Redis has nothing else to do than to wait for it
        "broker_connection_max_retries": None,
        "broker_pool_limit": 16,
        # the default waits for ever
        "broker_pool_acquire_timeout": 5,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
        # nothing but JSON is ever unpacked: the queue must not be a way to run code
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": contract.QUEUE,
        "task_create_missing_queues": True,
        # Flower's eyes; costs 2 ms of CPU a task
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        "worker_disable_rate_limits": True,
        "worker_eta_task_limit": 500,
        # threads have no time limits: every wait in a visit has a deadline of its own. In a prefork pool this ends a child that hangs
        "task_time_limit": TASK_TIME_LIMIT_SECONDS,
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        # a soft shutdown sleeps its whole time in the signal handler, needed or not; SIGTERM lets the turns in hand end instead, and
        # whatever is killed after that is carried on by the next holder
        "worker_soft_shutdown_timeout": 0,
        "worker_enable_soft_shutdown_on_idle": False,
        # nobody calls `self.retry`: a retried task would be published anew, with its real arguments shown; the agenda is what retries
        "task_publish_retry": True,
        # threads cannot be cancelled; the lease and the fence make the second copy harmless
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # our logging is configured by the front door, for every process alike
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
        "timezone": "UTC",
        # beat keeps no file: every task it starts may run at any time, twice, or by several beats at once
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_schedule": {
            # without `expires`: it would compare beat's clock with a worker's, and a worker whose clock is ahead would sweep no more
            "sweep": {"task": contract.SWEEP_TASK, "schedule": sweep_interval},
            "reconcile": {"task": contract.RECONCILE_TASK, "schedule": reconcile_interval},
        },
    }
