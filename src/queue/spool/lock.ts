/**
 * One writer for each shard. Two locks that the kernel takes back when the process ends, whatever way it ends: an
 * abstract unix socket named after the folder's device and inode, and flock(2) on "lock" where the runtime has it.
 * Taken by somebody else: ResourceError EBUSY. A system without abstract sockets has the second lock and the epoch
 * alone.
 */

import { ResourceError, systemCode } from "../../errors.ts";
import type { Files, Listener, Network, OpenFile } from "../../runtime.ts";

export interface FolderLock {
  release(): Promise<void>;
}

async function lockSocket(network: Network, name: string): Promise<Listener | null> {
  try {
    return await network.listen({ path: name }, 1, (socket) => socket.destroy(), () => {});
  } catch (error) {
    if (systemCode(error) === "EADDRINUSE") throw error;
    return null;
  }
}

export async function lockFolder(
  files: Files,
  network: Network | null,
  folder: string,
  shard: number,
): Promise<FolderLock> {
  const taken = (): ResourceError => new ResourceError("EBUSY", `${folder}: another process uses this queue`);
  const { device, inode } = await files.stat(folder);
  let listener: Listener | null = null;
  let file: OpenFile | null = null;
  try {
    if (network !== null) listener = await lockSocket(network, `\0postrider-${device}-${inode}-${shard}`);
  } catch {
    throw taken();
  }
  try {
    file = await files.open(`${folder}/lock`, "append", 0o600);
    if (await file.tryLock() === false) throw taken();
  } catch (error) {
    await file?.close();
    // A full disk must not keep the queue from being read.
    if (listener === null || systemCode(error) === "EBUSY") {
      await listener?.close();
      throw error;
    }
    file = null;
  }
  return {
    release: async () => {
      await file?.close();
      await listener?.close();
    },
  };
}
