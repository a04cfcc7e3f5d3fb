"""The simplest webhook in Flask: Twilio's validator, and Celery's `delay`.

gunicorn --worker-class gthread --threads 8 benchmarks.plain.flask_app:app
"""

from __future__ import annotations

import os

from flask import Flask, Response, request
from twilio.request_validator import RequestValidator

from benchmarks.plain.tasks import answer

app = Flask(__name__)
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
PUBLIC_URL = os.environ["PUBLIC_URL"]


@app.post("/sms")
def sms() -> Response:
    """Check the signature, queue the task, answer."""
    form = request.form.to_dict()
    if not validator.validate(f"{PUBLIC_URL}/sms", form, request.headers.get("X-Twilio-Signature", "")):
        return Response(status=403)
    answer.delay(form["From"], form["To"], form["Body"], form["MessageSid"])
    return Response("<Response/>", mimetype="text/xml")
