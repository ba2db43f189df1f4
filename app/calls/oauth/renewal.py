"""The one place where tokens are renewed: once for everybody who needs the next one.

Within a process those who wait share one attempt.  Between processes (and loops) a row says who is at
it; the others read until there is a newer token.  A new token is on disk before it is used, and who
comes too late, even with a refusal, never touches what another has fetched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, update

from app.calls.connections.book import ConnectionBook, ConnectionFacts, find_connector
from app.calls.connections.tokens import TokenFacts, seal_tokens
from app.calls.http.client import Caller
from app.calls.oauth.grants import Asked, Asker, Token, exchange, renew, revoke
from app.catalog.format.auth import OAuth2Auth, TokenAuth
from app.catalog.format.scopes import all_scopes
from app.catalog.registry import Registry
from app.changes import Changes, ConnectionChanged
from app.clock import Clock
from app.errors import AppError, CallFailed, NotFound
from app.ids import new_id
from app.log import fields
from app.storage.connections import grants
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.tables.models import Connection as ConnectionTable

log = logging.getLogger("plumbline.tokens")

_EARLY = timedelta(seconds=120)  # so that no token runs out on its way
_EARLY_PART = 10  # of a short life, only so small a part
_TOO_NEW = timedelta(seconds=10)  # refused so soon, another token of the same kind would be as well
_LONGEST_WAIT_S = 90.0
_LOOK_AGAIN_S = (0.02, 0.05, 0.1, 0.2)


class Tokens:
    """Lives in the loop of its caller."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        connections: ConnectionBook,
        changes: Changes,
        clock: Clock,
        caller: Caller,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._connections = connections
        self._changes = changes
        self._caller = caller
        self._clock = clock
        self._under_way: dict[tuple[str, int], asyncio.Task[ConnectionFacts]] = {}

    async def fresh(self, facts: ConnectionFacts) -> ConnectionFacts:
        """With a token that can be used now.  Raises CallFailed; `auth_expired` when it takes a person."""
        grant = facts.grant
        if grant is None or not self._is_due(facts, grant):
            return facts
        if facts.state == "broken":
            raise CallFailed("auth_expired", facts.state_sentence or "The sign-in has ended.")
        try:
            return await self._together(facts.id, grant.number)
        except CallFailed:
            if self._still_serves(facts, grant):
                return facts
            raise

    async def refused(self, facts: ConnectionFacts) -> ConnectionFacts | None:
        """The service did not take this token: with the next one, or None when it was brand new."""
        grant = facts.grant
        if grant is None:
            return None
        current = self._connections.read_now(facts.id)
        if current.grant is not None and current.grant.number > grant.number:
            return current
        if grant.obtained_at is not None and self._clock.now() - grant.obtained_at < _TOO_NEW:
            return None
        return await self._together(facts.id, grant.number)

    def _is_due(self, facts: ConnectionFacts, grant: TokenFacts) -> bool:
        if not facts.secrets.get("access_token"):
            return True
        if grant.expires_at is None or grant.obtained_at is None:
            return False
        early = min(_EARLY, (grant.expires_at - grant.obtained_at) / _EARLY_PART)
        return self._clock.now() >= grant.expires_at - early

    def _still_serves(self, facts: ConnectionFacts, grant: TokenFacts) -> bool:
        has_token = bool(facts.secrets.get("access_token"))
        return has_token and grant.expires_at is not None and self._clock.now() < grant.expires_at

    # ------------------------------------------------------------------------ one for everybody

    async def _together(self, connection_id: str, seen: int) -> ConnectionFacts:
        key = (connection_id, seen)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._renew(connection_id, seen))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        try:
            return await asyncio.shield(task)
        except CallFailed as failure:
            raise _own_copy(failure) from None

    def _ended(self, key: tuple[str, int], task: asyncio.Task[ConnectionFacts]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited may have gone meanwhile

    async def _renew(self, connection_id: str, seen: int) -> ConnectionFacts:
        me = new_id("ren")
        try:
            facts = await self._wait_for_turn(connection_id, seen, me)
            if facts.grant is None or facts.grant.number > seen:
                return facts
            return await self._fetch_next(facts, me)
        except CallFailed:
            raise
        except AppError as reason:
            raise CallFailed("unavailable", reason.sentence, remedy=reason.remedy) from reason

    async def _wait_for_turn(self, connection_id: str, seen: int, me: str) -> ConnectionFacts:
        """Either it is our turn, or the token is newer than the one we have seen."""
        until = time.monotonic() + _LONGEST_WAIT_S

        def begin(db: Connection) -> grants.GrantRow | None:
            return grants.begin_renewal(db, connection_id, renewer=me, seen=seen, now=self._clock.now())

        while time.monotonic() < until:
            if await self._database.writer.awrite(begin) is not None:
                return self._connections.read_now(connection_id)
            facts = await self._read_while_renewed(connection_id, seen, until)
            if facts is not None:
                return facts
        raise CallFailed("unavailable", "Another process has been fetching a token for too long.")

    async def _read_while_renewed(
        self, connection_id: str, seen: int, until: float
    ) -> ConnectionFacts | None:
        """Returns None if the other process exited without storing a token."""
        looks = 0
        while time.monotonic() < until:
            with self._database.read() as db:
                row = grants.get_grant(db, connection_id)
                is_busy = row is not None and grants.is_being_renewed(db, row, self._clock.now())
            if row is None:
                raise NotFound("This connection is not there any more.", connection=connection_id)
            if row.number > seen:
                return self._connections.read_now(connection_id)
            if not is_busy:
                return None
            await asyncio.sleep(_LOOK_AGAIN_S[min(looks, len(_LOOK_AGAIN_S) - 1)])
            looks += 1
        return None

    async def _fetch_next(self, facts: ConnectionFacts, me: str) -> ConnectionFacts:
        assert facts.grant is not None
        seen, began = facts.grant.number, self._clock.now()
        asker = self.asker_of(facts)
        try:
            asked = await renew(
                self._caller,
                asker,
                refresh_token=facts.grant.refresh_token,
                scopes=self._scopes_of(facts),
                now=began,
            )
        except BaseException:
            await self._let_go(facts.id, me, seen)
            raise
        if asked.failure is not None:
            return await self._give_way(facts, me, asked, asked.failure)
        await self._keep(facts, me, asked, began)
        self._changes.tell(ConnectionChanged(facts.id))
        log.info("%s", fields(event="token_renewed", connection=facts.id, number=seen + 1))
        return self._connections.read_now(facts.id)

    async def _let_go(self, connection_id: str, me: str, seen: int) -> None:
        def work(db: Connection) -> None:
            grants.end_renewal(db, connection_id, renewer=me, seen=seen, new=None)

        await asyncio.shield(self._database.writer.awrite(work, patient=True))

    async def _keep(self, facts: ConnectionFacts, me: str, asked: Asked, began: datetime) -> None:
        """On disk before anybody uses it: the service may have spent the old one."""
        assert asked.token is not None
        assert facts.grant is not None
        seen, token = facts.grant.number, asked.token
        new = self.new_grant(facts.id, token, facts.grant.refresh_token, self._asked_for(facts), began)

        def work(db: Connection) -> None:
            grants.end_renewal(db, facts.id, renewer=me, seen=seen, new=new)
            if asked.row is not None:
                grants.add_token_call(db, facts.id, asked.row, what="renewal")

        await asyncio.shield(self._database.writer.awrite(work, patient=True))

    async def _give_way(
        self, facts: ConnectionFacts, me: str, asked: Asked, failure: CallFailed
    ) -> ConnectionFacts:
        assert facts.grant is not None
        seen, for_good = facts.grant.number, failure.kind == "auth_expired"

        def work(db: Connection) -> bool:
            """True: nobody has fetched a newer one meanwhile, so this is how it stands."""
            if asked.row is not None:
                grants.add_token_call(db, facts.id, asked.row, what="renewal")
            row = grants.get_grant(db, facts.id)
            grants.end_renewal(db, facts.id, renewer=me, seen=seen, new=None)
            if row is None or row.number != seen:
                return False
            if for_good:
                _mark_broken(db, facts.id, failure.sentence)
            return True

        stands = await asyncio.shield(self._database.writer.awrite(work, patient=True))
        self._changes.tell(ConnectionChanged(facts.id))
        if not stands:
            return self._connections.read_now(facts.id)
        log.warning("%s", fields(event="token_not_renewed", connection=facts.id, for_good=for_good))
        raise failure

    # ----------------------------------------------------------------------------- for sign-ins

    async def exchange(self, asker: Asker, *, code: str, redirect_uri: str, verifier: str) -> Asked:
        return await exchange(self._caller, asker, code=code, redirect_uri=redirect_uri, verifier=verifier)

    async def revoke(self, facts: ConnectionFacts) -> Asked | None:
        """Tells the service that a sign-in is over, where it wants to be told."""
        auth, grant = facts.auth, facts.grant
        if not isinstance(auth, OAuth2Auth) or not auth.revoke_url or grant is None:
            return None
        token = grant.refresh_token or facts.secrets.get("access_token", "")
        return await revoke(self._caller, self.asker_of(facts), token) if token else None

    def asker_of(self, facts: ConnectionFacts) -> Asker:
        assert isinstance(facts.auth, TokenAuth)
        connector = find_connector(self._registry, facts.connector)
        name = connector.name if connector is not None else facts.connector
        secrets = {key: value for key, value in facts.secrets.items() if key != "access_token"}
        return Asker(facts.auth, name, facts.public, secrets)

    def new_grant(
        self, connection_id: str, token: Token, refresh_token: str, asked_for: Sequence[str], began: datetime
    ) -> grants.NewGrant:
        """Counted from the moment of asking, by our own clock: whose clock goes wrong does not matter."""
        kept = {"access_token": token.access_token, "refresh_token": token.refresh_token or refresh_token}
        return grants.NewGrant(
            sealed=seal_tokens(self._vault, connection_id, {k: v for k, v in kept.items() if v}),
            scopes=token.scopes if token.scopes is not None else tuple(asked_for),
            obtained_at=began,
            expires_at=began + timedelta(seconds=token.lasts_s) if token.lasts_s else None,
        )

    def _asked_for(self, facts: ConnectionFacts) -> Sequence[str]:
        if isinstance(facts.auth, OAuth2Auth):
            return facts.grant.scopes if facts.grant is not None else ()
        return self._scopes_of(facts)

    def _scopes_of(self, facts: ConnectionFacts) -> Sequence[str]:
        assert isinstance(facts.auth, TokenAuth)
        connector = self._registry.find(facts.connector)
        return all_scopes(connector, facts.auth) if connector is not None else facts.auth.scopes


def _own_copy(failure: CallFailed) -> CallFailed:
    """Each who waited says it of its own call."""
    copied = CallFailed(failure.kind, failure.sentence)
    copied.__dict__.update(failure.__dict__)
    return copied


def _mark_broken(db: Connection, connection_id: str, sentence: str) -> None:
    db.execute(
        update(ConnectionTable)
        .where(ConnectionTable.id == connection_id)
        .values(state="broken", state_sentence=sentence)
    )
