import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { folderTest } from "./files.ts";

const run = promisify(execFile);
const missing = "no small disk: mounting one takes Linux and root, or sudo without a password";

/** A file system of its own (tmpfs), small enough to be filled. */
export class SmallDisk {
  readonly path: string;
  readonly #command: readonly string[];

  private constructor(path: string, command: readonly string[]) {
    this.path = path;
    this.#command = command;
  }

  /** Mounts a disk; returns undefined if this user may not. */
  static async mount(path: string, megabytes: number): Promise<SmallDisk | undefined> {
    mkdirSync(path, { recursive: true });
    const options = `size=${megabytes}m,mode=0700,uid=${userInfo().uid}`;
    for (const command of [[], ["sudo", "-n"]]) {
      const disk = new SmallDisk(path, command);
      try {
        await disk.#run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path);
        return disk;
      } catch {
        // The loop tries the next way.
      }
    }
    return undefined;
  }

  async #run(...words: string[]): Promise<void> {
    const [file, ...rest] = [...this.#command, ...words] as [string, ...string[]];
    await run(file, rest);
  }

  /** Fills the disk; returns a function that frees the space. */
  fill(): () => void {
    const path = join(this.path, "filler");
    const file = openSync(path, "w");
    const block = randomBytes(4_096);
    try {
      for (;;) writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      closeSync(file);
    }
    return () => rmSync(path);
  }

  async resize(megabytes: number): Promise<void> {
    await this.#run("mount", "-o", `remount,size=${megabytes}m`, this.path);
  }

  async unmount(): Promise<void> {
    await this.#run("umount", "--lazy", this.path);
  }
}

/**
 * A test with a disk of 48 MB of its own. If no disk can be mounted, the test is skipped, and the run says so
 * at its end.
 */
export const smallDiskTest = folderTest.extend<{ disk: SmallDisk }>({
  disk: async ({ folder, skip }, use) => {
    const disk = await SmallDisk.mount(join(folder, "disk"), 48);
    if (disk === undefined) return skip(missing);
    await use(disk);
    await disk.unmount();
  },
});
