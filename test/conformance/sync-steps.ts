import { allTasks, Future, gather, shield, Task } from "@taskloom/loop";
import type { Condition, Event, Lock, Queue } from "@taskloom/loop";

import type { Statement, SyncStep } from "./program.ts";
import { at, orNone } from "./world.ts";
import type { Node, World } from "./world.ts";
import { Boom, cancelledError, isUnseen } from "./values.ts";

/** Statements that cannot suspend; all spellings share these functions. */
export const syncOperations: ReadonlySet<string> = new Set<SyncStep["op"]>([
  "spawn",
  "spawnRaw",
  "groupSpawn",
  "cancel",
  "uncancel",
  "cancelling",
  "state",
  "result",
  "exception",
  "future",
  "setResult",
  "setException",
  "setCancelled",
  "addDone",
  "removeDone",
  "callSoon",
  "callLater",
  "callAt",
  "cancelHandle",
  "storeGather",
  "storeShield",
  "reschedule",
  "scope",
  "ticker",
  "bump",
  "allTasks",
  "raise",
  "release",
  "locked",
  "set",
  "clear",
  "notifyAll",
  "objectState",
  "getNowait",
  "taskDone",
  "notify",
  "putNowait",
  "shutdown",
]);

/** Runs a statement that cannot suspend. */
export function syncStep(world: World, s: SyncStep): unknown {
  switch (s.op) {
    case "spawn":
      return world.full ? "limit" : world.register("task", world.loop.createTask(world.start(s.fn)));
    case "spawnRaw":
      return world.full ? "limit" : world.register("task", world.loop.createTask(world.raw(s.raw)));
    case "groupSpawn": {
      const group = at(world.groups, s.group);
      return world.full || !group ? "none" : world.register("task", group.createTask(world.start(s.fn)));
    }
    case "cancel": {
      const target = world.resolve(s.ref);
      if (!target) return "none";
      return s.message === null ? target.cancel() : target.cancel(s.message);
    }
    case "uncancel": {
      const target = world.resolve(s.ref);
      return target instanceof Task ? target.uncancel() : "none";
    }
    case "cancelling": {
      const target = world.resolve(s.ref);
      return target instanceof Task ? target.cancelling() : "none";
    }
    case "state": {
      const target = world.resolve(s.ref);
      return target ? [target, target.done(), target.cancelled(), isUnseen(target)] : "none";
    }
    case "result":
      return orNone(world.resolve(s.ref), (target) => target.result());
    case "exception":
      return orNone(world.resolve(s.ref), (target) => target.exception());
    case "future":
      return world.register("future", world.loop.createFuture());
    case "setResult":
      return orNone(world.plainFuture(s.ref), (target) => target.setResult(s.value));
    case "setException":
      return orNone(world.plainFuture(s.ref), (target) => target.setException(new Boom(s.message)));
    case "setCancelled":
      return orNone(world.plainFuture(s.ref), (target) => target.setException(cancelledError(s.message)));
    case "addDone":
      return orNone(world.resolve(s.ref), (target) => {
        target.addDoneCallback(world.callbacks[s.callback]!);
      });
    case "removeDone":
      return orNone(world.resolve(s.ref), (target) =>
        target.removeDoneCallback(world.callbacks[s.callback]!),
      );
    case "callSoon":
      world.handles.push(world.loop.callSoon(world.callbacks[s.callback]!));
      return undefined;
    case "callLater":
      world.handles.push(world.loop.callLater(s.time, world.callbacks[s.callback]!));
      return undefined;
    case "callAt":
      world.handles.push(world.loop.callAt(s.time, world.callbacks[s.callback]!));
      return undefined;
    case "cancelHandle":
      return orNone(at(world.handles, s.handle), (handle) => {
        const before = handle.cancelled();
        handle.cancel();
        return [before, handle.cancelled()];
      });
    case "storeGather": {
      if (world.full) return "limit";
      const parent: Node = { parent: true };
      const items = world.items(s.items, parent);
      const outer = gather(items, { returnExceptions: s.returnExceptions });
      const children = [...world.edgesOf(parent), ...items.filter((each) => each instanceof Future)];
      world.edges.set(outer, children);
      // A child that has not started yet will report under the name that its parent had at that time.
      world.edges.set(parent, children);
      return world.register("outer", outer);
    }
    case "storeShield": {
      if (world.full) return "limit";
      const item = world.item(s.item);
      if (!item) return "none";
      const outer = shield(item);
      return world.writer.knows(outer) ? outer : world.register("outer", outer);
    }
    case "reschedule":
      return orNone(at(world.scopes, -1 - s.scope), (scope) => {
        scope.reschedule(s.time === null ? null : world.loop.time() + s.time);
        return [scope.when(), scope.expired()];
      });
    case "scope":
      return orNone(at(world.scopes, -1 - s.scope), (scope) => [scope.when(), scope.expired()]);
    case "ticker": {
      const tick = (left: number): void => {
        world.log("-", (s as Statement).n, `tick ${left}`);
        if (left > 0) world.loop.callSoon(tick, left - 1);
      };
      world.loop.callSoon(tick, s.count);
      return undefined;
    }
    case "bump":
      return ++world.counter;
    case "allTasks": {
      const known = new Set<unknown>(allTasks(world.loop));
      return world.lists.task.filter((task) => known.has(task));
    }
    case "raise":
      throw new Boom(s.message);
    case "release":
      return world.object<Lock>(s).release();
    case "locked":
      return world.object<Lock>(s).locked();
    case "set":
      return world.object<Event>(s).set();
    case "clear":
      return world.object<Event>(s).clear();
    case "notify":
      return world.object<Condition>(s).notify(s.count);
    case "notifyAll":
      return world.object<Condition>(s).notifyAll();
    case "objectState":
      return world.objectState(world.object<unknown>(s));
    case "getNowait":
      return world.object<Queue<number>>(s).getNowait();
    case "putNowait":
      return world.object<Queue<number>>(s).putNowait(s.value);
    case "taskDone":
      return world.object<Queue<number>>(s).taskDone();
    case "shutdown":
      return world.object<Queue<number>>(s).shutdown(s.immediate);
  }
}
