"""A password in REDIS_URL is shown by no error and by no line that `dadacat up` prints."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaos.tree import free_base
from local.errors import CannotStart
from local.plan import UpOptions, make_plan
from runtime.settings import Settings, SettingsError

ODD = ["sekret/pw", "sekret#pw", "sekret?pw", "sekret[pw", "sekret]pw", "1234/sekret", "1234#sekret", "1234?sekret=1"]


def options(folder: Path) -> UpOptions:
    return UpOptions(port_base=free_base(10), data=folder, workers=0)


@pytest.mark.parametrize("password", ODD)
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_an_odd_password_is_refused_and_not_shown(password: str, scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://:{password}@redis.example:6379/0"

    with pytest.raises(SettingsError) as of_settings:
        Settings.load({"REDIS_URL": url})
    with pytest.raises((SettingsError, CannotStart)) as of_up:
        make_plan({"REDIS_URL": url}, options(tmp_path))

    for told in (str(of_settings.value), str(of_up.value)):
        assert "REDIS_URL" in told
        assert "sekret" not in told
        assert "1234" not in told


@pytest.mark.parametrize("password", ["sekret%2Fpw", "sekret%23%3F%40", "sekret@pw", "sekret:pw"])
def test_up_prints_a_named_redis_without_its_password(password: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as redis:
        host = f"127.0.0.1:{redis.getsockname()[1]}"
        plan = make_plan({"REDIS_URL": f"redis://cat:{password}@{host}/3?ssl_password=sekret"}, options(tmp_path))

    assert dict(plan.urls)["redis"] == f"redis://cat:***@{host}/3"
    assert "sekret" not in str(plan.urls)
