"""Runs conformance programs on CPython's asyncio, in virtual time, and prints their traces.

Each line of standard input is a JSON request ({"programs": [...], "statistics": bool}), and each line of
standard output is a JSON answer ({"python": version, "traces": [[line, ...], ...], "statistics": {...}}).

With {"programs": [...], "schedules": N} each program also runs under N shuffled schedules of the ready
queue. The answer then has "outcomes": the outcome of each task if no schedule changed it, else null.

asyncio leaves some behaviour open. It is fixed here, so that a trace is a function of its program:
- the selector advances a virtual clock instead of waiting;
- timers with equal deadlines run in the order in which they were set;
- asyncio.TaskGroup, asyncio.wait and asyncio.as_completed keep their tasks in the given order.
"""

import asyncio
import collections
import gc
import json
import os
import random
import re
import sys
import warnings
from asyncio import base_events, events, exceptions, locks, queues, taskgroups, tasks

TASKS = (tasks.Task, tasks._PyTask)
HORIZON = 40  # At this time all running tasks are cancelled.
LIMIT = 40  # The maximal number of tasks of a program.
APART = 2**-9  # The time between the cancels at the end of a spread program.


# ---- determinism ---------------------------------------------------------------------------------


class OrderedSet(dict):
    """The part of a set that asyncio uses, in insertion order."""

    def __init__(self, items=()):
        super().__init__((item, None) for item in items)

    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)

    def remove(self, item):
        del self[item]


class OrderedTimer(events.TimerHandle):
    __slots__ = ("_order",)
    count = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        OrderedTimer.count += 1
        self._order = OrderedTimer.count

    def __lt__(self, other):
        return (self._when, self._order) < (other._when, other._order)


class AsCompleted(tasks._AsCompletedIterator):
    # CPython's constructor without its two sets.
    def __init__(self, aws, timeout):
        self._done = queues.Queue()
        self._timeout_handle = None
        loop = events.get_event_loop()
        todo = OrderedSet(asyncio.ensure_future(aw, loop=loop) for aw in OrderedSet(aws))
        for f in todo:
            f.add_done_callback(self._handle_completion)
        if todo and timeout is not None:
            self._timeout_handle = loop.call_later(timeout, self._handle_timeout)
        self._todo = todo
        self._todo_left = len(todo)


events.TimerHandle = OrderedTimer
taskgroups.set = OrderedSet
tasks.set = OrderedSet
tasks._AsCompletedIterator = AsCompleted


class AnyOrder(collections.deque):
    """A ready queue in which any handle may be next, also one that has just become ready. A schedule can
    therefore delay handles by whole iterations, as another spelling of the same program does."""

    def __init__(self, chance):
        super().__init__()
        self.chance = chance
        self.eagerness = chance.choice((0.2, 0.5, 0.8))

    def popleft(self):
        if len(self) > 1 and self.chance.random() < self.eagerness:
            steps = self.chance.randrange(len(self))
            self.rotate(-steps)
            item = super().popleft()
            self.rotate(steps)
            return item
        return super().popleft()


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop whose selector jumps to the time of the next deadline."""

    def __init__(self, chance=None):
        super().__init__()
        self.chance = chance
        self.gives_way = 0 if chance is None else chance.choice((0, 0.1, 0.3, 1))
        if chance is not None:
            self._ready = AnyOrder(chance)
            # Only the Task that is written in Python can pass a cancellation on; see give_way.
            self.set_task_factory(lambda loop, coro, **kwargs: tasks._PyTask(coro, loop=loop, **kwargs))
        self._clock_resolution = 1e-9
        self._selector = self
        self._now = 0
        self.iterations = 0

    def time(self):
        return self._now

    def select(self, timeout):
        self.iterations += 1
        if timeout is None:
            raise RuntimeError("nothing is ready and no timer is set")
        if timeout > 0:
            self._now += timeout
        return ()

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass


# ---- the format of values ------------------------------------------------------------------------


class Boom(Exception):
    pass


class Return:
    def __init__(self, value):
        self.value = value


USAGE = {
    "Lock is not acquired.": "not held",
    "cannot wait on un-acquired lock": "not held",
    "cannot notify on un-acquired lock": "not held",
    "BoundedSemaphore released too many times": "over-released",
    "task_done() called too many times": "task done too often",
    "Set of Tasks/Futures is empty.": "argument",
}


def usage(error):
    """Returns a short name for an error of asyncio itself. Its wording is not compared."""
    message = str(error)
    if message in USAGE:
        return USAGE[message]
    if message.startswith("TaskGroup <"):
        return "group finished" if message.endswith("is finished") else "group shutting down"
    if message.endswith(" Timeout"):
        return f"timeout {message.split()[-2]}"
    if isinstance(error, exceptions.InvalidStateError):
        return "state"
    return f"{type(error).__name__}({message})"


class Program:
    def __init__(self, source, statistics, chance=None):
        self.source = source
        self.trace = []
        self.statistics = statistics
        self.loop = VirtualLoop(chance)
        self.nodes = {}  # object -> label; tasks, futures and stored outer futures
        self.lists = {"task": [], "future": [], "outer": [], "any": []}
        self.edges = collections.defaultdict(list)
        self.scopes = []
        self.groups = []
        self.handles = []
        self.waiting = {}
        self.errors = {}
        self.counter = 0
        self.callbacks = [self.make_callback(i) for i in range(len(source["callbacks"]))]

    # -- writing --

    def log(self, who, number, text):
        now = self.loop.time()
        now = int(now) if now == int(now) else now
        self.trace.append(f"{now} {self.loop.iterations - self.first_iteration} {who} {number} {text}")

    def who(self):
        task = tasks.current_task(self.loop)
        if task is None:
            return "-"
        return f"{self.nodes.get(task, 'M')}~{task.cancelling()}"

    def label(self, future):
        return self.nodes.get(future, "?")

    def identity(self, error):
        # The error is kept as well, so that its id is not used again.
        return self.errors.setdefault(id(error), (len(self.errors), error))[0]

    def error(self, error):
        if isinstance(error, exceptions.CancelledError):
            return f"Cancelled({error.args[0] if error.args else ''})#{self.identity(error)}"
        if isinstance(error, Boom):
            return f"Boom({error})#{self.identity(error)}"
        if isinstance(error, BaseExceptionGroup):
            return f"Group[{', '.join(self.error(each) for each in error.exceptions)}]#{self.identity(error)}"
        if isinstance(error, TimeoutError):
            identity = self.identity(error)
            cause = f" from {self.error(error.__cause__)}" if error.__cause__ is not None else ""
            return f"Timeout#{identity}{cause}"
        if isinstance(error, (queues.QueueEmpty, queues.QueueFull, queues.QueueShutDown)):
            return f"{type(error).__name__}#{self.identity(error)}"
        if isinstance(error, exceptions.BrokenBarrierError):
            return f"BrokenBarrier#{self.identity(error)}"
        return f"Usage({usage(error)})#{self.identity(error)}"

    def value(self, value):
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, BaseException):
            return self.error(value)
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self.value(each) for each in value)}]"
        if asyncio.isfuture(value):
            return self.label(value)
        if isinstance(value, float) and value == int(value):
            return str(int(value))
        return str(value)

    def count(self, what):
        if self.statistics is not None:
            self.statistics[what] += 1

    # -- references of programs --

    def register(self, kind, future):
        label = {"task": "T", "future": "F", "outer": "O"}[kind] + str(len(self.lists[kind]))
        self.nodes[future] = label
        self.lists[kind].append(future)
        self.lists["any"].append(future)
        return future

    def resolve(self, ref):
        kind, number = ref
        if kind == "self":
            return tasks.current_task(self.loop)
        known = self.lists[kind]
        return known[number % len(known)] if known else None

    def full(self):
        return len(self.lists["task"]) >= LIMIT

    def item(self, item, items=None, parent=None):
        if "ref" in item:
            return self.resolve(item["ref"])
        if "same" in item:
            return items[item["same"]]
        if "raw" in item:
            return self.raw(item["raw"])
        return self.function(item["fn"], parent)

    def raw(self, step):
        op = step["op"]
        self.count(f"raw {op}")
        if op == "sleep":
            return asyncio.sleep(step["time"], step["value"])
        thing = self.objects[step["object"]]
        if op == "put":
            return thing.put(step["value"])
        return getattr(thing, op if op in ("acquire", "get", "join") else "wait")()

    def items(self, items, parent=None):
        """Returns the awaitables of a list, with None for a reference that finds nothing or would close a circle."""
        out = []
        for item in items:
            known = item
            while "same" in known:
                known = items[known["same"]]
            # In TypeScript all sleep(0) are one object, but each of them is work of its own.
            if "raw" in known and known["raw"]["op"] == "sleep" and known["raw"]["time"] <= 0:
                item = known
            out.append(self.item(item, out, parent))
        return [each for each in out if each is not None]

    def circular(self, awaited):
        """Returns whether waiting for these objects would make this task wait for itself.

        asyncio answers a cancel there with a RecursionError, and a task that awaited itself is
        unusable for others afterwards ("await wasn't used with future"), so there is nothing to compare.
        """
        me = tasks.current_task(self.loop)
        seen = set()
        stack = list(awaited)
        while stack:
            node = stack.pop()
            if node is me:
                return True
            if not asyncio.isfuture(node) or node in seen:
                continue
            seen.add(node)
            stack.extend(self.edges[node])
        return False

    async def awaiting(self, awaited, awaitable):
        """Awaits, and records for the other tasks what this task waits for."""
        me = tasks.current_task(self.loop)
        for each in awaited:
            self.edges[me].append(each)
        try:
            return await awaitable
        finally:
            for each in awaited:
                self.edges[me].remove(each)

    # -- running --

    async def function(self, number, parent=None):
        task = tasks.current_task(self.loop)
        if task not in self.nodes:
            self.register("task", task)
        if parent is not None:
            self.edges[parent].append(task)
        self.log(self.who(), f"f{number}", "begins")
        if len(self.trace) > 2000 or len(self.lists["task"]) > LIMIT:
            self.log(self.who(), f"f{number}", "limit")
            return None
        out = await self.body(self.source["functions"][number])
        self.log(self.who(), f"f{number}", "ends")
        return out.value if out else None

    async def block(self, body):
        for statement in body:
            out = await self.statement(statement)
            if isinstance(out, Return):
                return out
        return None

    async def give_way(self):
        """Lets other tasks run in some schedules, as an `async` function of JavaScript does where it calls a helper
        or returns from one. A cancellation that arrives meanwhile waits for the next suspension."""
        chance = self.loop.chance
        if chance is None or chance.random() > self.loop.gives_way:
            return
        task = tasks.current_task(self.loop)
        try:
            await asyncio.sleep(0)
        except exceptions.CancelledError as error:
            task._must_cancel = True
            task._cancel_message = error.args[0] if error.args else None

    async def statement(self, s):
        op = s["op"]
        if op in SYNC:
            self.sync(s)
            return None
        await self.give_way()
        try:
            return await self.suspending(s)
        finally:
            await self.give_way()

    async def suspending(self, s):
        op = s["op"]
        number = s["n"]
        task = tasks.current_task(self.loop)
        before = self.waiting.get(task)
        self.waiting[task] = op
        started = self.loop.iterations
        try:
            try:
                out = await getattr(self, "do_" + op)(s)
            finally:
                await self.give_way()
        except BaseException as error:
            self.count(f"{op} !{type(error).__name__}")
            self.log(self.who(), number, "!" + self.error(error))
            raise
        finally:
            self.waiting[task] = before
        self.count(f"{op} {'at once' if self.loop.iterations == started else 'later'}")
        if isinstance(out, Return):
            self.log(self.who(), number, "returns")
            return out
        self.log(self.who(), number, "=" + self.value(out))
        return None

    def sync(self, s):
        """Runs a statement that cannot suspend. Its error is logged, and only `raise`, `result` and `exception`
        pass it on: a wrong release must not end a program."""
        op = s["op"]
        try:
            out = getattr(self, "do_" + op)(s)
        except BaseException as error:
            self.count(f"{op} !{type(error).__name__}")
            self.log(self.who(), s["n"], "!" + self.error(error))
            if op in ("raise", "result", "exception"):
                raise
            return
        self.count(f"{op} {out if isinstance(out, bool) else ''}".rstrip())
        self.log(self.who(), s["n"], "=" + self.value(out))

    def make_callback(self, number):
        body = self.source["callbacks"][number]

        def callback(*args):
            self.log(self.who(), f"c{number}", f"called {self.value(list(args))}")
            if len(self.trace) > 2000:
                return
            for statement in body:
                self.sync(statement)

        return callback

    # -- synchronous steps --

    def do_spawn(self, s):
        if self.full():
            return "limit"
        return self.register("task", self.loop.create_task(self.function(s["fn"])))

    def do_spawnRaw(self, s):
        if self.full():
            return "limit"
        return self.register("task", self.loop.create_task(self.raw(s["raw"])))

    def do_groupSpawn(self, s):
        if self.full() or not self.groups:
            return "none"
        group = self.groups[s["group"] % len(self.groups)]
        return self.register("task", group.create_task(self.function(s["fn"])))

    def do_cancel(self, s):
        target = self.resolve(s["ref"])
        if target is None:
            return "none"
        if self.statistics is not None:
            self.observe_cancel(target, s["message"])
        out = target.cancel() if s["message"] is None else target.cancel(s["message"])
        return out

    def observe_cancel(self, target, message):
        self.count("cancel with a message" if message else "cancel without a message")
        if isinstance(target, TASKS) and not target.done():
            waiter = target._fut_waiter
            what = self.waiting.get(target)
            if target is tasks.current_task(self.loop):
                self.count("cancel of oneself")
            elif waiter is None:
                self.count("cancel before start or after sleep(0)")
            elif waiter.done():
                how = "cancelled" if waiter.cancelled() else "woken"
                self.count(f"cancel after being {how}: {what}")
            else:
                self.count(f"cancel while waiting: {what}")

    def do_uncancel(self, s):
        target = self.resolve(s["ref"])
        return target.uncancel() if isinstance(target, TASKS) else "none"

    def do_cancelling(self, s):
        target = self.resolve(s["ref"])
        return target.cancelling() if isinstance(target, TASKS) else "none"

    def do_state(self, s):
        target = self.resolve(s["ref"])
        return "none" if target is None else [target, target.done(), target.cancelled(), target._log_traceback]

    def do_result(self, s):
        target = self.resolve(s["ref"])
        return "none" if target is None else target.result()

    def do_exception(self, s):
        target = self.resolve(s["ref"])
        return "none" if target is None else target.exception()

    def do_future(self, s):
        return self.register("future", self.loop.create_future())

    def settle(self, s, action):
        target = self.resolve(s["ref"])
        if target is None or self.label(target)[0] != "F":
            return "none"
        return action(target)

    def do_setResult(self, s):
        return self.settle(s, lambda target: target.set_result(s["value"]))

    def do_setException(self, s):
        return self.settle(s, lambda target: target.set_exception(Boom(s["message"])))

    def do_setCancelled(self, s):
        error = exceptions.CancelledError(*([] if s["message"] is None else [s["message"]]))
        return self.settle(s, lambda target: target.set_exception(error))

    def do_addDone(self, s):
        target = self.resolve(s["ref"])
        if target is None:
            return "none"
        self.count("addDone late" if target.done() else "addDone in time")
        target.add_done_callback(self.callbacks[s["callback"]])
        return None

    def do_removeDone(self, s):
        target = self.resolve(s["ref"])
        if target is None:
            return "none"
        removed = target.remove_done_callback(self.callbacks[s["callback"]])
        self.count(f"removeDone {removed > 0}")
        return removed

    def do_callSoon(self, s):
        self.handles.append(self.loop.call_soon(self.callbacks[s["callback"]]))

    def do_callLater(self, s):
        self.handles.append(self.loop.call_later(s["time"], self.callbacks[s["callback"]]))

    def do_callAt(self, s):
        self.handles.append(self.loop.call_at(s["time"], self.callbacks[s["callback"]]))

    def do_cancelHandle(self, s):
        if not self.handles:
            return "none"
        handle = self.handles[s["handle"] % len(self.handles)]
        before = handle.cancelled()
        handle.cancel()
        return [before, handle.cancelled()]

    def do_storeGather(self, s):
        if self.full():
            return "limit"
        parent = object()
        items = self.items(s["items"], parent)
        self.count(f"gather of {min(len(items), 3)}{' with duplicates' if len(set(items)) < len(items) else ''}")
        outer = asyncio.gather(*items, return_exceptions=s["returnExceptions"])
        if outer in self.nodes:
            return outer
        self.register("outer", outer)
        self.edges[outer] = self.edges.pop(parent, []) + [each for each in items if asyncio.isfuture(each)]
        # A child that has not started yet will report under the name that its parent had at that time.
        self.edges[parent] = self.edges[outer]
        return outer

    def do_storeShield(self, s):
        if self.full():
            return "limit"
        item = self.item(s["item"])
        if item is None:
            return "none"
        outer = asyncio.shield(item)
        return outer if outer in self.nodes else self.register("outer", outer)

    def do_reschedule(self, s):
        if not self.scopes:
            return "none"
        scope = self.scopes[-1 - s["scope"] % len(self.scopes)]
        scope.reschedule(None if s["time"] is None else self.loop.time() + s["time"])
        return [scope.when(), scope.expired()]

    def do_scope(self, s):
        if not self.scopes:
            return "none"
        scope = self.scopes[-1 - s["scope"] % len(self.scopes)]
        return [scope.when(), scope.expired()]

    def do_ticker(self, s):
        def tick(left):
            self.log("-", s["n"], f"tick {left}")
            if left > 0:
                self.loop.call_soon(tick, left - 1)

        self.loop.call_soon(tick, s["count"])

    def do_bump(self, s):
        self.counter += 1
        return self.counter

    def do_allTasks(self, s):
        known = asyncio.all_tasks(self.loop)
        return [task for task in self.lists["task"] if task in known]

    def do_raise(self, s):
        raise Boom(s["message"])

    # -- objects --

    def do_release(self, s):
        self.objects[s["object"]].release()

    def do_locked(self, s):
        return self.objects[s["object"]].locked()

    def do_set(self, s):
        self.objects[s["object"]].set()

    def do_clear(self, s):
        self.objects[s["object"]].clear()

    def do_notify(self, s):
        self.objects[s["object"]].notify(s["count"])

    def do_notifyAll(self, s):
        self.objects[s["object"]].notify_all()

    def do_objectState(self, s):
        thing = self.objects[s["object"]]
        if isinstance(thing, queues.Queue):
            return [thing.qsize(), thing.empty(), thing.full()]
        if isinstance(thing, locks.Event):
            return thing.is_set()
        if isinstance(thing, locks.Barrier):
            return [thing.n_waiting, thing.broken]
        return thing.locked()

    def do_getNowait(self, s):
        return self.objects[s["object"]].get_nowait()

    def do_putNowait(self, s):
        self.objects[s["object"]].put_nowait(s["value"])

    def do_taskDone(self, s):
        self.objects[s["object"]].task_done()

    def do_shutdown(self, s):
        self.objects[s["object"]].shutdown(s["immediate"])

    # -- steps that may suspend --

    async def do_sleep(self, s):
        return await asyncio.sleep(s["time"], s["value"])

    async def do_return(self, s):
        return Return(s["value"])

    async def do_raiseCancelled(self, s):
        raise exceptions.CancelledError(*([] if s["message"] is None else [s["message"]]))

    async def do_call(self, s):
        return await self.function(s["fn"])

    async def do_await(self, s):
        target = self.resolve(s["ref"])
        if target is None:
            return "none"
        if self.circular([target]):
            return "circular"
        return await self.awaiting([target], target)

    async def do_gather(self, s):
        if self.full():
            return "limit"
        parent = object()
        if self.circular(self.items([item for item in s["items"] if "ref" in item])):
            return "circular"
        items = self.items(s["items"], parent)
        self.count(f"gather of {min(len(items), 3)}{' with duplicates' if len(set(items)) < len(items) else ''}")
        self.edges[parent].extend(each for each in items if asyncio.isfuture(each))
        outer = asyncio.gather(*items, return_exceptions=s["returnExceptions"])
        self.edges[outer] = self.edges[parent]
        return await self.awaiting([outer], outer)

    async def do_wait(self, s):
        refs = [target for target in map(self.resolve, s["refs"]) if target is not None]
        done, pending = await asyncio.wait(refs, timeout=s["timeout"], return_when=s["returnWhen"])
        self.count(f"wait {s['returnWhen']} {'timeout' if pending and s['timeout'] is not None else 'in time'}")
        return [list(done), list(pending)]

    async def do_waitFor(self, s):
        if self.full():
            return "limit"
        item = self.item(s["item"])
        if item is None:
            return "none"
        if self.circular([item]):
            return "circular"
        awaited = [item] if asyncio.isfuture(item) else []
        return await self.awaiting(awaited, asyncio.wait_for(item, s["timeout"]))

    async def do_shield(self, s):
        if self.full():
            return "limit"
        item = self.item(s["item"])
        if item is None:
            return "none"
        if self.circular([item]):
            return "circular"
        return await self.awaiting([], asyncio.shield(item))

    async def do_asCompleted(self, s):
        if self.full():
            return "limit"
        items = self.items(s["items"])
        left = s["take"]
        iterator = asyncio.as_completed(items, timeout=s["timeout"])
        if s["style"] == "iterator":
            for each in iterator:
                try:
                    out = await each
                except Exception as error:
                    self.count(f"asCompleted item !{type(error).__name__}")
                    out = error
                self.log(self.who(), s["n"], "item " + self.value(out))
                left -= 1
                if left == 0:
                    break
        else:
            async for each in iterator:
                self.log(self.who(), s["n"], f"item {self.label(each)} {self.value([each.done(), each.cancelled()])}")
                left -= 1
                if left == 0:
                    break
        return None

    async def do_timeout(self, s):
        return await self.scope(s, asyncio.timeout(s["time"]))

    async def do_timeoutAt(self, s):
        return await self.scope(s, asyncio.timeout_at(s["time"]))

    async def scope(self, s, scope):
        try:
            async with scope:
                self.scopes.append(scope)
                return await self.body(s["body"])
        finally:
            self.log(self.who(), s["n"], "scope " + self.value([scope.when(), scope.expired()]))

    async def do_group(self, s):
        async with asyncio.TaskGroup() as group:
            self.groups.append(group)
            return await self.body(s["body"])

    async def do_try(self, s):
        try:
            try:
                out = await self.body(s["body"])
            except BaseException as error:
                if not self.catches(s["catch"], error):
                    raise
                out = await self.body(s["handler"])
                if s["rethrow"] and out is None:
                    raise
        finally:
            last = await self.body(s["finally"])
            if last is not None:
                return last
        return out

    def catches(self, kind, error):
        if kind == "all":
            return True
        if kind == "error":
            return not isinstance(error, exceptions.CancelledError)
        wanted = {
            "cancelled": exceptions.CancelledError,
            "timeout": TimeoutError,
            "boom": Boom,
            "group": BaseExceptionGroup,
        }.get(kind)
        return wanted is not None and isinstance(error, wanted)

    async def do_repeat(self, s):
        for _ in range(s["times"]):
            out = await self.body(s["body"])
            if out is not None:
                return out
        return None

    async def do_acquire(self, s):
        return await self.objects[s["object"]].acquire()

    async def do_with(self, s):
        async with self.objects[s["object"]]:
            return await self.body(s["body"])

    async def body(self, block):
        """Runs the body of a function, of a scope or of another statement; in TypeScript this is a call."""
        await self.give_way()
        try:
            return await self.block(block)
        finally:
            await self.give_way()

    async def do_waitEvent(self, s):
        return await self.objects[s["object"]].wait()

    async def do_waitCondition(self, s):
        return await self.objects[s["object"]].wait()

    async def do_waitPredicate(self, s):
        return await self.objects[s["object"]].wait_for(lambda: self.counter >= s["atLeast"])

    async def do_waitBarrier(self, s):
        return await self.objects[s["object"]].wait()

    async def do_resetBarrier(self, s):
        return await self.objects[s["object"]].reset()

    async def do_abortBarrier(self, s):
        return await self.objects[s["object"]].abort()

    async def do_get(self, s):
        return await self.objects[s["object"]].get()

    async def do_put(self, s):
        return await self.objects[s["object"]].put(s["value"])

    async def do_join(self, s):
        return await self.objects[s["object"]].join()

    # -- from start to end --

    def make_objects(self):
        self.objects = []
        for spec in self.source["objects"]:
            kind = spec["kind"]
            if kind == "lock":
                thing = locks.Lock()
            elif kind == "event":
                thing = locks.Event()
            elif kind == "semaphore":
                thing = locks.Semaphore(spec["value"])
            elif kind == "bounded":
                thing = locks.BoundedSemaphore(spec["value"])
            elif kind == "condition":
                thing = locks.Condition(self.objects[spec["lock"]]) if "lock" in spec else locks.Condition()
            elif kind == "barrier":
                thing = locks.Barrier(spec["parties"])
            else:
                queue = {"fifo": queues.Queue, "lifo": queues.LifoQueue, "priority": queues.PriorityQueue}
                thing = queue[kind](spec["maxsize"])
            self.objects.append(thing)

    async def drive(self):
        """Runs the program to its horizon, then cancels the remaining tasks several times."""
        self.first_iteration = self.loop.iterations
        self.make_objects()
        first = self.register("task", self.loop.create_task(self.main()))
        await asyncio.wait([first], timeout=HORIZON)
        await asyncio.sleep(HORIZON - self.loop.time())
        for _ in range(12):
            left = [each for each in self.lists["any"] if not each.done()]
            if not left:
                break
            self.log("M", "end", "cancels " + self.value(left))
            for each in left:
                each.cancel("end")
                if self.source.get("isSpread"):
                    await asyncio.sleep(APART)
            await asyncio.sleep(10)
        for each in self.lists["any"]:
            self.log("M", "end", f"{self.label(each)} {self.final(each)}")

    async def main(self):
        out = await self.body(self.source["main"])
        return out.value if out else None

    def final(self, future):
        if not future.done():
            return "pending"
        unseen = " unseen" if future._log_traceback else ""
        try:
            error = future.exception()
        except exceptions.CancelledError as cancelled:
            return "cancelled " + self.error(cancelled)
        return f"!{self.error(error)}{unseen}" if error is not None else "=" + self.value(future.result())

    def unhandled(self, loop, context):
        message = context["message"]
        # The garbage collector triggers these at times of its own.
        if "never retrieved" in message or "destroyed" in message:
            return
        kind = "callback" if message.startswith("Exception in callback") else message
        self.log("-", "handler", f"{kind} {self.error(context['exception'])}")

    def run(self):
        self.loop.set_exception_handler(self.unhandled)
        events.set_event_loop(self.loop)
        self.loop.run_until_complete(self.drive())
        events.set_event_loop(None)
        return self.trace


SYNC = {
    "spawn", "spawnRaw", "groupSpawn", "cancel", "uncancel", "cancelling", "state", "result", "exception", "future",
    "setResult", "setException", "setCancelled", "addDone", "removeDone", "callSoon", "callLater", "callAt",
    "cancelHandle", "storeGather", "storeShield", "reschedule", "scope", "ticker", "bump", "allTasks", "raise",
    "release", "locked", "set", "clear", "notifyAll", "objectState", "getNowait", "taskDone", "notify",
    "putNowait", "shutdown",
}  # fmt: skip


IDENTITY = re.compile(r"#\d+")


def outcome(trace):
    """Returns the outcome of each task; see outcome.ts."""
    tasks = {}
    for line in trace:
        time, _, who, rest = line.split(" ", 3)
        task, _, count = who.partition("~")
        tasks.setdefault(task, []).append(f"{time} {count} {IDENTITY.sub('', rest)}")
    return tasks


def trace_of(source, leftovers, statistics=None, chance=None):
    program = Program(source, statistics, chance)
    try:
        return program.run()
    except BaseException as error:
        return program.trace + [f"0 0 - reference failed {type(error).__name__}: {error}"]
    finally:
        # Pending coroutines of a program are kept, because a collected coroutine would run its clean-up.
        if asyncio.all_tasks(program.loop):
            leftovers.append(program)


def confluent(source, leftovers, trace, schedules):
    """Returns the outcome of a program if it is the same under that many schedules, else None."""
    expected = outcome(trace)
    for schedule in range(schedules):
        if outcome(trace_of(source, leftovers, chance=random.Random(schedule))) != expected:
            return None
    return expected


def main():
    warnings.simplefilter("ignore")
    gc.disable()
    leftovers = []
    for line in sys.stdin:
        request = json.loads(line)
        statistics = collections.Counter() if request.get("statistics") else None
        schedules = request.get("schedules", 0)
        traces = [trace_of(source, leftovers, statistics) for source in request["programs"]]
        answer = {"python": sys.version.split()[0], "traces": traces, "statistics": statistics}
        if schedules:
            pairs = zip(request["programs"], traces)
            answer["outcomes"] = [confluent(source, leftovers, trace, schedules) for source, trace in pairs]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        gc.collect()
    sys.stdout.flush()
    os._exit(0)


main()
