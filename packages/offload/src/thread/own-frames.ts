/** Where this side's own stack frames are from: of no use to a reader of an error, so they are cut off. */
export const ownFrames: string = new URL(".", import.meta.url).href;
