/** A stop of a worker that outlasts its locks (8 s) and the interval of the stalled check; milliseconds. */
export const suspendFor = 13_000;
