"""The life of a conversion: take the destination, build under a name of its own, put it in place.

Rasters, tables, several grids and appended dates all live so. On this machine a conversion writes
to a folder that bears the token of its lock (`geoembz._convert.placing`), and renames when all is
there. Object stores cannot rename: there it writes under the final keys, the root's metadata last,
and asks the fence before each shard, each record and the root; a date that replaces another one is
built below ``.geoembz/`` and copied over it (`geoembz._convert.placing`).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geoembz._convert.destination import Destination, holds_already
from geoembz._convert.placing import (
    beside,
    builds,
    builds_beside,
    copy_over,
    discard,
    end_interrupted_swap,
    grows,
    inside,
    is_staged,
    place_inside,
    prepare_date,
    staging_place,
    swap,
    sweep,
)
from geoembz._objects.tree import ObjectTree, local_faults
from geoembz._util.threads import PARTING_SECONDS, within
from geoembz.errors import DestinationExistsError, SourceChangedError, StoreError
from geoembz.store.journal import COMPLETE, FOLDER, Journal, as_read
from geoembz.store.levels import OVERVIEWS
from geoembz.store.lock import DestinationLock, Fence

type Plan = Mapping[str, Any]
"""All that the bytes of a store depend on, as the journal records it."""

_WRITTEN_FIRST = ("embedding", "valid", OVERVIEWS, "x", "y", "columns", "map", "band")


@dataclass(frozen=True)
class Build:
    """What a conversion writes to.

    Parameters
    ----------
    tree
        Where its objects go.
    journal
        Says what is finished, and is told what is.
    fence
        Says whether the destination is still its own.
    plan
        All that its bytes depend on.
    is_complete
        Whether an earlier run of the same command has built all of it.
    """

    tree: ObjectTree
    journal: Journal
    fence: Fence
    plan: Plan
    is_complete: bool = False
    children: list["Build"] = field(default_factory=list)

    @property
    def is_in_place(self) -> bool:
        """Whether it writes under the keys that readers know."""
        return self.tree.url == self.fence.url

    def child(self, name: str, plan: Plan) -> "Build":
        """Return the build of a store below this one; this one's lock holds it, too."""
        tree = self.tree.child(name)
        is_complete = tree.read("zarr.json") is not None
        part = Build(tree, Journal.of(tree, plan), self.fence, plan, is_complete)
        self.children.append(part)
        return part

    def has_finished(self) -> bool:
        """Whether anything in it is worth keeping."""
        return self.journal.has_finished() or any(part.has_finished() for part in self.children)


class Site:
    """A destination, for as long as one conversion holds it.

    Parameters
    ----------
    destination
        Where.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._tree = destination.tree
        self._lock = DestinationLock(self._tree, breaks=destination.breaks_lock)
        self._build: Build | None = None
        self._resumes = self._existed = self._ends = False
        self.ended: list[Plan] = []
        """Plans of killed conversions whose builds were complete and are in their places now."""

    def __enter__(self) -> Self:
        """Take the destination, and finish the last renames or copies of a killed conversion.

        Raises
        ------
        DestinationExistsError
            If another conversion holds it.
        StoreError
            If the destination cannot be written.
        """
        if self._tree.is_local:
            end_interrupted_swap(self._tree.local_path)
        self._existed = self._tree.exists()
        self._lock.__enter__()
        try:
            self._settle()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the destination back; of a failed conversion, keep what can be resumed."""
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, Exception) or self._tree.is_local:
            self._part(error)
        else:  # Ctrl-C; a lock that stays is stale with us
            within(PARTING_SECONDS, lambda: self._part(error))

    def _part(self, error: BaseException | None) -> None:
        try:
            if error is not None and self._build is not None:
                self._abandon(self._build, error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._lock.release()
        if self._ends:  # last of all: until here the same command learns that all is done
            self._forget()
        if self._tree.is_local and not self._existed:
            with suppress(OSError):  # something is in it
                self._tree.local_path.rmdir()

    def _forget(self) -> None:
        Journal(self._tree).forget()
        self._ends = False

    def _settle(self) -> None:
        """End what was complete; the lock is ours, so nobody works on it."""
        journal = Journal(self._tree)
        if journal.is_complete():
            self._copy_over(journal)
            self._end(journal)
        if not self._tree.is_local:
            return
        path = self._tree.local_path
        with local_faults(self.destination.url):
            sweep(path)
            for build in [] if self.destination.replaces else builds(path):
                left = Journal(ObjectTree(build))
                if left.is_complete():
                    self._place(build)
                elif left.plan() in (None, *self.ended):  # never begun, or placed already
                    discard(build)
            for build in builds_beside(path):
                if self.ended or not self.destination.replaces:
                    discard(build)

    def _place(self, build: Path) -> None:
        """Bring a complete build to its place; only the word that it is complete is left."""
        path, plan = self._tree.local_path, Journal(ObjectTree(build)).plan() or {}
        place_inside(build, path, plan)
        (build / COMPLETE).replace(path / COMPLETE)
        discard(build)
        self._end(Journal(self._tree))

    def _copy_over(self, journal: Journal) -> None:
        """Copy a complete date over the one that it replaces, on an object store."""
        plan = journal.plan() or {}
        if not self._tree.is_local and is_staged(plan):
            copy_over(self._tree, plan, self._lock.fence)

    def _end(self, journal: Journal) -> None:
        self._ends = True
        self.ended.append(journal.plan() or {})
        if not self._tree.is_local:
            journal.shorten()

    def foresee(self, plan: Plan) -> tuple[Journal | None, str]:
        """Say what `begin` would find, without taking the destination or changing anything.

        Returns
        -------
        journal
            Of an interrupted run of the plan.
        state
            What is there, in words.

        Raises
        ------
        InvalidConfigError
            If another conversion is unfinished there.
        DestinationExistsError
            If a store is there that may not be replaced.
        """
        plan = as_read(plan)
        is_local, replaces = self._tree.is_local, self.destination.replaces
        if is_local:
            find = builds_beside if replaces else builds
            found = [Journal(ObjectTree(build)) for build in find(self._tree.local_path)]
            begun = [journal for journal in found if self._goes_on(journal, plan)]
        else:
            begun = [journal for journal in [Journal(self._tree)] if journal.plan() is not None]
            for journal in begun:
                journal.refuse_other(plan, self.destination.url)
        self._refuse_store(plan, is_begun=bool(begun) and not is_local)
        if begun:
            return Journal.of(begun[0].tree, plan), "an interrupted run of this command"
        if replaces:
            return None, "a store, which is replaced once the new one is complete"
        return None, "a store" if grows(plan) else "nothing is there"

    def journals(self) -> list[Journal]:
        """Return the journals of what is unfinished here."""
        places = builds(self._tree.local_path) if self._tree.is_local else []
        return [Journal(tree) for tree in [self._tree, *map(ObjectTree, places)]]

    def begin(self, plan: Plan) -> Build:
        """Make the build of a plan, or take over the one that it left when it was interrupted.

        Raises
        ------
        InvalidConfigError
            If another conversion is unfinished there.
        DestinationExistsError
            If that one turned out to be finished.
        """
        plan = as_read(plan)
        if plan in self.ended:
            return Build(self._tree, Journal.of(self._tree, plan), self._lock.fence, plan, True)
        remote_resumes = not self._tree.is_local and Journal(self._tree).matches(plan)
        self._refuse_store(plan, is_begun=remote_resumes)
        if self._ends and not self._tree.is_local:  # the journal's place is needed
            self._forget()
        tree = self._local_tree(plan) if self._tree.is_local else self._tree
        journal = Journal.of(tree, plan)
        if journal.plan() is not None:
            journal.refuse_other(plan, self.destination.url)
            self._resumes = True
        if not tree.is_local and is_staged(plan):
            tree = staging_place(tree, plan)
        self._build = Build(tree, journal, self._lock.fence, plan)
        if self._resumes and journal.is_complete():
            self._conclude(self._build)
            return Build(self._tree, journal, self._lock.fence, plan, True)
        return self._build

    def _refuse_store(self, plan: Plan, *, is_begun: bool) -> None:
        """Refuse a store that is there, unless it is to be replaced, to grow, or was begun."""
        is_new = not self.destination.replaces and not grows(plan)
        if is_new and self.destination.holds_store and not is_begun:
            raise DestinationExistsError(holds_already(self.destination.url))

    def _local_tree(self, plan: Plan) -> ObjectTree:
        """Return our own folder: what the same plan left, renamed, or a new one."""
        path, token = self._tree.local_path, self._lock.token
        found = builds_beside(path) if self.destination.replaces else builds(path)
        own = (beside if self.destination.replaces else inside)(path, token)
        with local_faults(self.destination.url):
            for build in found:
                if self._goes_on(Journal(ObjectTree(build)), plan) and not own.exists():
                    build.rename(own)
                else:
                    discard(build)
            own.mkdir(exist_ok=True)
            tree = ObjectTree(own, must_exist=True)
            tree.remove_partials()
        return tree

    def _goes_on(self, journal: Journal, plan: Plan) -> bool:
        """Whether to finish a build; one of another plan is refused, unless it may be replaced."""
        if journal.plan() is None:
            return False
        if not self.destination.replaces and not self.destination.gives_up:
            journal.refuse_other(plan, self.destination.url)
            return True
        return journal.matches(plan) and (journal.is_complete() or journal.is_sound(plan))

    def finish(self) -> None:
        """Put what was built in its place: the store now exists.

        Raises
        ------
        StoreError
            If the destination is another's by now, or something is in the way.
        """
        build = self._build
        if build is None:
            raise RuntimeError("nothing was begun")
        for part in build.children:
            part.tree.remove(FOLDER)
        build.fence.check()
        if build.tree.is_local and "append" in build.plan:
            prepare_date(build.tree.local_path, self._tree.local_path, build.plan["position"])
        build.journal.complete(build.plan)
        self._conclude(build)

    def _conclude(self, build: Build) -> None:
        """Bring a complete build to its place, and remove its journal."""
        self._build = None  # nothing of it is to be given up any more
        if not build.tree.is_local:
            self._copy_over(build.journal)
            self._end(build.journal)
            return
        own = build.tree.local_path
        with local_faults(self.destination.url):
            if not self.destination.replaces:
                self._place(own)
                return
            build.journal.shorten()
            self._lock.carry(build.tree)
            swap(own, self._tree.local_path)
            discard(own)
        self._end(Journal(self._tree))

    def _abandon(self, build: Build, error: BaseException) -> None:
        """Give up what a failed conversion built, unless it is worth going on with."""
        with suppress(StoreError):  # the server that failed, most likely; the error is on its way
            if _is_kept(build, error, resumes=self._resumes) or not self._lock.is_ours():
                return
            if build.tree.is_local:
                discard(build.tree.local_path)
                return
            names = [part.tree.url.rpartition("/")[2] for part in build.children]
            names += [layer["name"] for layer in build.plan.get("layers", ())]
            parts = () if grows(build.plan) else (*_WRITTEN_FIRST, *names)
            for name in (*parts, FOLDER):
                self._tree.remove(name)


def _is_kept(build: Build, error: BaseException, *, resumes: bool) -> bool:
    """Whether what was built before an error is worth going on with."""
    if isinstance(error, SourceChangedError):
        return False  # of two inputs
    if resumes:
        return True
    return build.has_finished() if isinstance(error, Exception) else build.journal.exists()
