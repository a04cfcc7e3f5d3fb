"""The simplest webhook in FastAPI: Twilio's validator, and Celery's `delay` in a thread.

uvicorn benchmarks.plain.fastapi_app:app
"""

from __future__ import annotations

import os

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from twilio.request_validator import RequestValidator

from benchmarks.plain.tasks import answer

app = FastAPI()
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
PUBLIC_URL = os.environ["PUBLIC_URL"]


@app.post("/sms")
async def sms(request: Request) -> Response:
    """Check the signature, queue the task, answer."""
    form = dict(await request.form())
    if not validator.validate(f"{PUBLIC_URL}/sms", form, request.headers.get("X-Twilio-Signature", "")):
        return Response(status_code=403)
    await run_in_threadpool(answer.delay, form["From"], form["To"], form["Body"], form["MessageSid"])
    return Response("<Response/>", media_type="text/xml")
