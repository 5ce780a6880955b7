"""Who asks, whether they may, and whether they ask too often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from marginface.errors import InputError
from marginface.serve.keys import ApiKey, KeyFile, Role
from marginface.serve.log import RequestLog
from marginface.serve.rate_limit import RateLimit
from marginface.serve.refusals import Refused, busy

_BEARER = HTTPBearer(auto_error=False, description="A key of `marginface keys create`; not needed where keys are off.")
Gate = Callable[..., Awaitable[None]]


class Access:
    """Makes the check that stands before every route."""

    def __init__(self, keys: KeyFile | None, limit: RateLimit, log: RequestLog) -> None:
        self.keys, self._limit, self._log = keys, limit, log

    def needs(self, role: Role) -> Gate:
        """Return a check that the caller has this role; without keys everybody on this machine has it."""

        async def check(
            request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
        ) -> None:
            address = self._log.caller(request.client.host if request.client else "")
            key = self._known(given, address)
            request.state.caller = key.key_id if key else address
            self._take(request.state.caller)
            if key is not None and not key.may(role):
                raise Refused(403, f"this key has the role {key.role!r}; {role!r} is needed here.")

        return check

    def _known(self, given: HTTPAuthorizationCredentials | None, address: str) -> ApiKey | None:
        if self.keys is None:
            return None
        try:
            key = self.keys.who(given.credentials) if given else None
        except InputError as error:
            self._log.write("keys", problem=str(error))
            raise busy("the file of keys cannot be read") from error
        if key is None:
            self._take(address)  # whoever tries keys is slowed down too
            what = "this key is not known" if given else "a key is needed"
            raise Refused(
                401, f"{what}: send the header 'Authorization: Bearer KEY'.", headers={"WWW-Authenticate": "Bearer"}
            )
        return key

    def _take(self, caller: str) -> None:
        wait = self._limit.take(caller)
        if wait:
            raise Refused(429, "too many requests; wait a moment.", headers={"Retry-After": f"{max(1, round(wait))}"})
