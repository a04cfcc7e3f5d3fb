"""Celery's settings, each with its reason. Facts and measurements behind them: `docs/explanation/celery.md`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from inbox import contract

#: Longer than the longest task: a visit of 60 s, a reply of 20 s, a send of 10 s, with room.
#: A doorbell that is heard twice is harmless, but not free.
VISIBILITY_TIMEOUT_SECONDS = 180


def celery_settings(
    *, redis_url: str, concurrency: int, sweep_interval: timedelta, reconcile_interval: timedelta
) -> dict[str, Any]:  # Any: Celery's own settings
    """All that differs from Celery's defaults."""
    return {
        "broker_url": redis_url,
        # tasks are doorbells without results: nobody reads one, and storing it would cost a write a task
        "result_backend": None,
        "task_ignore_result": True,
        # a doorbell is acknowledged after the visit, so that a worker that dies leaves it to be heard again
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # a visit that fails has parked its person on the agenda: the doorbell itself is done
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # one doorbell a thread: a reserved one would wait behind a busy worker while another is idle
        "worker_prefetch_multiplier": 1,
        # models and carriers are waited for, not computed: threads hold the most conversations per GB and lose no task
        "worker_pool": "threads",
        "worker_concurrency": concurrency,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            # look every 5 s for doorbells of dead workers; the defaults make it 100 s
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # a sweeper that died must not block the next for the default's 300 s
            "unacked_mutex_expire": 30,
            # without these a half-open connection hangs a worker for ever
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
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
            "sweep": {"task": contract.SWEEP_TASK, "schedule": sweep_interval},
            "reconcile": {"task": contract.RECONCILE_TASK, "schedule": reconcile_interval},
        },
    }
