/** The folder of the thread's own stack frames. They are cut off errors, since they are of no use to a reader. */
export const ownFrames: string = new URL(".", import.meta.url).href;
