/** Returns a function that warns once of a lane whose jobs BullMQ stores in a layout that the driver does not know. */
export function unknownLayoutWarning(): (laneName: string) => void {
  let isWarned = false;
  return (laneName) => {
    if (isWarned) return;
    isWarned = true;
    process.emitWarning(
      `BullMQ stores lane ${laneName} in a layout that Taskloom does not know, so its jobs are added and run by BullMQ's own commands, which are slower. Use the version of BullMQ that @taskloom/queue depends on for all clients of the queue.`,
      { type: "TaskloomWarning", code: "UNKNOWN_LAYOUT" },
    );
  };
}
