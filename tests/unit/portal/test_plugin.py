"""The plugin as Airflow loads it: in every process, and without the platform's code, which may change under a scheduler."""

import json
import os
import subprocess
import sys
from pathlib import Path

from citydata import settings

LOAD = """
import asyncio, importlib.util, json, sys
specification = importlib.util.spec_from_file_location("governance_portal", sys.argv[1])
plugin = importlib.util.module_from_spec(specification)
specification.loader.exec_module(plugin)
loaded = [name for name in sys.modules if name.partition(".")[0] == "citydata"]

answers = []
async def ask():
    async def refuse(request):
        from http import HTTPStatus
        return HTTPStatus.UNAUTHORIZED
    async def send(message):
        answers.append(message)
    plugin._admit, plugin._login = refuse, lambda request: "login"
    [mounted] = plugin.GovernancePortal.fastapi_apps
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b"", "root_path": "/governance"}
    await mounted["app"](scope, None, send)
asyncio.run(ask())
[view], [mounted] = plugin.GovernancePortal.external_views, plugin.GovernancePortal.fastapi_apps
print(json.dumps([loaded, answers[0]["status"], mounted["url_prefix"], view["href"], "citydata.portal.web" in sys.modules]))
"""


def test_the_plugin_brings_nothing_of_the_platform_into_a_process_before_somebody_asks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(settings.ROOT / "plugins" / "governance_portal.py")],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(settings.ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded, status, prefix, href, imported = json.loads(done.stdout.splitlines()[-1])
    assert loaded == []
    assert (status, imported) == (401, True)
    # An address without a leading slash is relative to Airflow's own; both must be of the same place.
    assert href == f"{prefix.removeprefix('/')}/"
