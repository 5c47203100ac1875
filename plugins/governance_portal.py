"""The governance officer's portal in Airflow's UI, behind its login.

The API server mounts it; every other process that loads plugins must not keep the platform's code from its start on, so
nothing of it is imported before the first request.
"""

import functools
from http import HTTPStatus
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/governance"


class Portal:
    """The ASGI application, made at its first request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        await _application()(scope, receive, send)


@functools.cache
def _application() -> Any:
    from citydata.portal import web  # noqa: PLC0415

    return web.application(_admit, _login)


async def _admit(request: Any) -> HTTPStatus:
    """Whom Airflow knows by token or cookie and lets into its own UI may read."""
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView  # noqa: PLC0415
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user  # noqa: PLC0415
    from anyio import to_thread  # noqa: PLC0415
    from fastapi import HTTPException  # noqa: PLC0415

    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException:
        return HTTPStatus.UNAUTHORIZED
    allowed = functools.partial(get_auth_manager().is_authorized_view, access_view=AccessView.WEBSITE, user=user)
    return HTTPStatus.OK if await to_thread.run_sync(allowed) else HTTPStatus.FORBIDDEN


def _login(request: Any) -> str:
    """Airflow's login page, which leads back here."""
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415

    return str(get_auth_manager().get_url_login(next_url=f"{request.scope['root_path']}/"))


class GovernancePortal(AirflowPlugin):
    """Mounts the application and shows it in the navigation. Its address is relative: Airflow may have a prefix of its own."""

    name = "governance_portal"
    fastapi_apps = [{"name": "governance portal", "app": Portal(), "url_prefix": PREFIX}]  # noqa: RUF012 - as Airflow declares it
    external_views = [  # noqa: RUF012
        {
            "name": "Tiedon hallintamalli / Governance",
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "url_route": "governance",
        }
    ]
